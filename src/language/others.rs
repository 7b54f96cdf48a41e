//! What others say in English only: the operating system, and serde_json.

use std::fmt;
use std::io::{self, ErrorKind};

use super::{write_in_current, Words};

/// What the system says of an error; its number stands in no brackets, for a message may be in some.
pub struct System<'a>(pub &'a io::Error);

/// Parts of what the system says, for errors that have no kind of their own.
const OTHER_REASONS: [(&str, &str); 5] = [
    ("Name or service not known", "没有这个域名"),
    ("No address associated with hostname", "该域名没有地址"),
    ("Temporary failure in name resolution", "域名解析服务暂时不可用"),
    ("Name does not resolve", "没有这个域名"),
    ("Too many open files", "打开的文件过多"),
];

impl System<'_> {
    fn chinese(&self) -> Option<&'static str> {
        Some(match self.0.kind() {
            ErrorKind::AddrInUse => "地址已被占用",
            ErrorKind::AddrNotAvailable => "本机没有这个地址",
            ErrorKind::BrokenPipe => "管道已断开",
            ErrorKind::ConnectionAborted => "连接被中止",
            ErrorKind::ConnectionRefused => "连接被拒绝",
            ErrorKind::ConnectionReset => "连接被重置",
            ErrorKind::HostUnreachable => "主机不可达",
            ErrorKind::InvalidData => "数据无效",
            ErrorKind::IsADirectory => "这是目录",
            ErrorKind::NetworkDown => "网络已断开",
            ErrorKind::NetworkUnreachable => "网络不可达",
            ErrorKind::NotADirectory => "不是目录",
            ErrorKind::NotFound => "文件不存在",
            ErrorKind::PermissionDenied => "权限不足",
            ErrorKind::ReadOnlyFilesystem => "文件系统只读",
            ErrorKind::StorageFull => "磁盘已满",
            ErrorKind::TimedOut => "超时",
            ErrorKind::UnexpectedEof => "数据不完整",
            _ => {
                let text = self.0.to_string();
                OTHER_REASONS.iter().find(|(english, _)| text.contains(english))?.1
            }
        })
    }
}

impl fmt::Display for System<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = self.0.get_ref().is_some_and(|inner| inner.is::<Words>());
        let text = self.0.to_string();
        let english = match text.strip_suffix(')').and_then(|text| text.split_once(" (os error ")) {
            Some((reason, number)) => format!("{reason}, os error {number}"),
            None => text,
        };
        match self.chinese() {
            Some(chinese) if !own => write_in_current(f, &chinese, &english),
            _ => f.write_str(&english),
        }
    }
}

/// Why a text is no JSON, as serde_json 1 has it.
pub struct JsonReason<'a>(&'a str);

const JSON_REASONS: [(&str, &str); 17] = [
    ("EOF while parsing", "内容不完整"),
    ("expected `:`", "缺少 `:`"),
    ("expected `,` or `]`", "缺少 `,` 或 `]`"),
    ("expected `,` or `}`", "缺少 `,` 或 `}`"),
    ("expected ident", "无法识别的词"),
    ("expected value", "缺少值"),
    ("invalid escape", "转义无效"),
    ("invalid number", "数字无效"),
    ("number out of range", "数字过大"),
    ("control character", "字符串中有控制字符"),
    ("key must be a string", "键必须是字符串"),
    ("trailing comma", "多余的逗号"),
    ("trailing characters", "结尾之后还有内容"),
    ("invalid unicode code point", "Unicode 码点无效"),
    ("lone leading surrogate", "代理对不完整"),
    ("unexpected end of hex escape", "十六进制转义不完整"),
    ("recursion limit exceeded", "嵌套过深"),
];

impl<'a> JsonReason<'a> {
    /// Of a whole message, which says the place, too.
    pub fn of(message: &'a str) -> JsonReason<'a> {
        JsonReason(message.split(" at line ").next().unwrap_or_default())
    }
}

impl fmt::Display for JsonReason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = JSON_REASONS.iter().find(|(english, _)| self.0.starts_with(english));
        let chinese = known.map_or(self.0, |(_, chinese)| chinese);
        write_in_current(f, &chinese, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language::{Both, Chinese, English};

    #[test]
    fn errors_of_the_system_are_said_in_each_language_and_in_no_brackets_of_their_own() {
        let refused = io::Error::from_raw_os_error(111);
        let said = |language: crate::language::Language, error: &io::Error| {
            language.speak(|| System(error).to_string())
        };
        assert_eq!(said(Chinese, &refused), "连接被拒绝");
        assert_eq!(said(English, &refused), "Connection refused, os error 111");
        assert_eq!(said(Both, &refused), "连接被拒绝 (Connection refused, os error 111)");
        let ours = io::Error::other(Words("不是普通文件", "is not a regular file"));
        assert_eq!(said(Chinese, &ours), "不是普通文件");
        assert_eq!(said(English, &ours), "is not a regular file");
        let resolver = io::Error::other("failed to lookup: Name or service not known");
        assert_eq!(said(Chinese, &resolver), "没有这个域名");
    }

    #[test]
    fn what_is_no_json_is_said_in_each_language() {
        let reason = JsonReason::of("expected value at line 1 column 7");
        assert_eq!(Chinese.speak(|| reason.to_string()), "缺少值");
        assert_eq!(English.speak(|| reason.to_string()), "expected value");
    }
}
