//! The most memory that the limits allow, as `--check` prints it.

use crate::config::Config;
use crate::language::Words;
use crate::message;
use crate::state::Memory;

const MIB: usize = 1024 * 1024;
const KIB: usize = 1024;

/// Code, certificates, the log's lines that are not written yet, threads for look-ups and parsers.
const PROCESS_BYTES: usize = 10 * MIB;
/// A client's connection: its task, its response's head, what is read ahead of its request, and a head
/// of a usual length twice. What is longer comes out of the budget.
const CLIENT_BYTES: usize = 32 * KIB;
/// A provider's connection: a head of 64 KiB as it comes and as it goes on, a piece of a body that a slow
/// client has not taken, and TLS.
const UPSTREAM_BYTES: usize = 280 * KIB;

/// One line: the sum and its parts. `clients_max` is how many connections from clients there are
/// descriptors for.
pub fn describe(config: &Config, clients_max: usize) -> String {
    let parts = parts(config, clients_max);
    let mib = |bytes: usize| bytes.div_ceil(MIB);
    let sum = mib(parts.iter().fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes)));
    let parts = parts.map(|(name, bytes)| format!("{name} {}", mib(bytes))).join(" + ");
    message!("内存上限: {sum} MiB = {parts}\n", "memory at most: {sum} MiB = {parts}\n").to_string()
}

fn parts(config: &Config, clients_max: usize) -> [(Words, usize); 4] {
    let clients = config.max_client_connections.min(clients_max);
    [
        (Words("程序", "process"), PROCESS_BYTES),
        (Words("客户端连接", "client connections"), clients.saturating_mul(CLIENT_BYTES)),
        (
            Words("上游连接", "upstream connections"),
            config.max_connections.saturating_mul(UPSTREAM_BYTES),
        ),
        (Words("请求与响应", "requests and responses"), Memory::max(config)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;

    #[test]
    fn the_default_limits_allow_no_more_than_128_mib() {
        let english = || describe(&Config::default(), usize::MAX);
        let line = Language::English.speak(english);
        let sum: usize = line.split(' ').nth(3).and_then(|sum| sum.parse().ok()).expect(&line);
        assert!(sum <= 128, "{line}");
        assert!(sum > 100, "{line}");
    }

    #[test]
    fn absurd_limits_add_up_to_much_and_not_to_little() {
        let config = Config { max_request_size: u64::MAX, ..Config::default() };
        assert!(describe(&config, 1).len() > 60);
    }
}
