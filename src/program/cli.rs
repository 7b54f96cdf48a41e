//! The command line: what was asked for, and the help.

use std::path::PathBuf;

use lexopt::Arg::{Long, Short};
use lexopt::Error;

use crate::language::{Text, Words};
use crate::text;

/// What `--help` prints, in Chinese and in English; each fits 24 lines of 80 columns.
pub const HELP: Words = Words(
    "\
ai_proxy - 轻量级 AI 代理：一个地址，多个提供商

用法: ai_proxy [-c 文件] [--check | --doctor | --auto | --schema]

  -c, --config 文件  配置文件（默认 config.json）
      --check        检查配置，显示解析结果（隐去密钥），然后退出
      --doctor       检查各提供商；--spend 也试聊天；--json 供程序用
      --auto         不用配置文件：使用已知的环境变量和本机的模型服务
      --print        与 --auto 一起：打印找到的配置，然后退出
      --schema       打印配置文件的 JSON Schema，供编辑器使用，然后退出
  -V, --version      打印版本，然后退出
  -h, --help         打印本帮助，然后退出

接口: /v1/ 下的 chat/completions completions embeddings moderations rerank
  images/... audio/... responses messages (OpenAI, Anthropic), models, reload,
  status；/ 和 /health；设置 passthrough 后有 /p/{provider}/...

退出码: 0 正常；2 参数或配置有误；1 其他错误

示例:
  cp config.json.example config.json && ai_proxy
  ai_proxy --config /etc/ai_proxy/config.json --check
  curl localhost:8001/v1/chat/completions -H 'Authorization: Bearer TOKEN' \\
    --json '{\"model\":\"zhipu/glm-4\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}'
",
    "\
ai_proxy - one small proxy between AI clients and many providers

Usage: ai_proxy [-c FILE] [--check | --doctor | --auto | --schema]

  -c, --config FILE  the configuration (default: config.json)
      --check        check it, print what it says without secrets, and exit
      --doctor       examine the providers; --spend: by chats, too; --json
      --auto         no file: use known variables and servers on this machine
      --print        with --auto: print what was found, and exit
      --schema       print its JSON Schema, for editors, and exit
  -V, --version      print the version and exit
  -h, --help         print this help and exit

Endpoints: /v1/ chat/completions completions embeddings moderations rerank
  images/... audio/... responses messages (OpenAI, Anthropic), models, reload,
  status; / and /health; /p/{provider}/... with \"passthrough\"

Exit status: 0 done; 2 bad arguments or configuration; 1 any other failure

Examples:
  cp config.json.example config.json && ai_proxy
  ai_proxy --config /etc/ai_proxy/config.json --check
  curl localhost:8001/v1/chat/completions -H 'Authorization: Bearer TOKEN' \\
    --json '{\"model\":\"zhipu/glm-4\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}'
",
);

/// The JSON Schema (draft 2020-12) of the configuration file.
pub const SCHEMA: &str = include_str!("../config/schema.json");

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// The file named by `--config`; the last one counts.
    pub config: Option<PathBuf>,
    /// What to do.
    pub action: Action,
}

/// What to do; all but `Run` print something and exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Serve until told to stop.
    Run,
    /// Load the configuration and print what it says.
    Check,
    /// Examine the providers.
    Doctor(Doctor),
    /// Print name and version.
    Version,
    /// Print [`HELP`].
    Help,
    /// Print [`SCHEMA`].
    Schema,
    /// Serve what is there, without a file.
    Auto,
    /// Print what is there as a configuration.
    AutoPrint,
}

/// How the providers are examined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doctor {
    /// By chats, too.
    pub spend: bool,
    /// For programs.
    pub json: bool,
}

/// Reads the process's arguments. `--help` and `--version` win over whatever follows them.
///
/// # Errors
///
/// One line that names the argument that is unknown or incomplete, and points to `--help`.
pub fn arguments() -> Result<Arguments, Text> {
    read(lexopt::Parser::from_env())
}

fn read(mut parser: lexopt::Parser) -> Result<Arguments, Text> {
    let mut config = None;
    let mut action = Action::Run;
    let (mut print, mut doctor) = (false, Doctor::default());
    while let Some(argument) = parser.next().map_err(|error| refusal(&error))? {
        match argument {
            Short('c') | Long("config") => {
                let file = parser.value().map_err(|error| refusal(&error))?;
                if file.is_empty() {
                    return Err(refusal(&Error::MissingValue {
                        option: Some("--config".to_owned()),
                    }));
                }
                config = Some(PathBuf::from(file));
            }
            Long("check") => action = Action::Check,
            Long("doctor") => action = Action::Doctor(doctor),
            Long("spend") => doctor.spend = true,
            Long("json") => doctor.json = true,
            Long("schema") => action = Action::Schema,
            Long("auto") => action = Action::Auto,
            Long("print") => print = true,
            Short('V') | Long("version") => {
                return Ok(Arguments { config, action: Action::Version })
            }
            Short('h') | Long("help") => return Ok(Arguments { config, action: Action::Help }),
            other => return Err(refusal(&other.unexpected())),
        }
    }
    let misplaced = [
        (print && action != Action::Auto, "--print", "--auto"),
        (doctor.spend && !matches!(action, Action::Doctor(_)), "--spend", "--doctor"),
        (doctor.json && !matches!(action, Action::Doctor(_)), "--json", "--doctor"),
    ];
    if let Some((_, one, other)) = misplaced.iter().find(|(is_misplaced, ..)| *is_misplaced) {
        return Err(text!(
            "命令行参数错误: {one} 只与 {other} 一起使用（用法见 ai_proxy --help）",
            "bad arguments: {one} goes with {other} only (see ai_proxy --help)"
        ));
    }
    match action {
        Action::Auto if config.is_some() => Err(text!(
            "命令行参数错误: --auto 不用配置文件，不能与 --config 同时使用（用法见 ai_proxy --help）",
            "bad arguments: --auto reads no file, so --config does not go with it (see ai_proxy --help)"
        )),
        Action::Auto if print => Ok(Arguments { config, action: Action::AutoPrint }),
        Action::Doctor(_) => Ok(Arguments { config, action: Action::Doctor(doctor) }),
        _ => Ok(Arguments { config, action }),
    }
}

fn refusal(error: &Error) -> Text {
    let chinese = match error {
        Error::MissingValue { option: Some(option) } => format!("选项 {option} 缺少值"),
        Error::UnexpectedOption(option) => format!("未知的选项 {option}"),
        Error::UnexpectedArgument(value) => format!("多余的参数 {}", value.to_string_lossy()),
        Error::UnexpectedValue { option, .. } => format!("选项 {option} 不接受值"),
        other => other.to_string(),
    };
    text!(
        "命令行参数错误: {chinese}（用法见 ai_proxy --help）",
        "bad arguments: {error} (see ai_proxy --help)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;

    fn asked(arguments: &[&str]) -> Result<Arguments, Text> {
        read(lexopt::Parser::from_args(arguments))
    }

    #[test]
    fn every_option_is_understood_in_its_long_and_short_form() {
        let file = Some(PathBuf::from("a.json"));
        for (arguments, config, action) in [
            (&[][..], None, Action::Run),
            (&["--config", "a.json"], file.clone(), Action::Run),
            (&["--config=a.json", "--check"], file.clone(), Action::Check),
            (&["--check", "-ca.json"], file.clone(), Action::Check),
            (&["-c", "b", "-c", "a.json"], file, Action::Run),
            (&["--schema"], None, Action::Schema),
            (&["--version"], None, Action::Version),
            (&["-V"], None, Action::Version),
            (&["--check", "-h", "--nonsense"], None, Action::Help),
            (&["--help"], None, Action::Help),
            (&["--auto"], None, Action::Auto),
            (&["--doctor"], None, Action::Doctor(Doctor { spend: false, json: false })),
            (&["--spend", "--doctor"], None, Action::Doctor(Doctor { spend: true, json: false })),
            (&["--doctor", "--json"], None, Action::Doctor(Doctor { spend: false, json: true })),
            (&["--print", "--auto"], None, Action::AutoPrint),
        ] {
            assert_eq!(asked(arguments), Ok(Arguments { config, action }), "{arguments:?}");
        }
    }

    #[test]
    fn a_bad_argument_is_named_in_one_line_that_points_to_the_help() {
        for (arguments, named) in [
            (&["--conifg"][..], "--conifg"),
            (&["-x"], "-x"),
            (&["extra"], "extra"),
            (&["--line\nfeed"], "feed"),
            (&["--config"], "--config"),
            (&["--config="], "--config"),
            (&["--check=yes"], "--check"),
            (&["--print"], "--print"),
            (&["--spend"], "--spend"),
            (&["--doctor", "--check", "--json"], "--json"),
            (&["--auto", "-c", "a.json"], "--auto"),
        ] {
            let text = asked(arguments).expect_err(named);
            for line in [text.get(Language::Chinese), text.get(Language::English)] {
                assert!(line.contains(named) && line.contains("--help"), "{line}");
                assert!(!line.contains('\n'), "{line}");
            }
        }
    }

    #[test]
    fn the_help_fits_a_small_terminal_and_names_every_option() {
        for help in [HELP.0, HELP.1] {
            assert!(help.lines().count() <= 24);
            for line in help.lines() {
                // CJK characters take two columns.
                let columns: usize = line.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum();
                assert!(columns <= 80, "{columns}: {line}");
            }
            for option in [
                "-c, --config",
                "--check",
                "--auto",
                "--doctor",
                "--spend",
                "--json",
                "--print",
                "--schema",
                "-V, --version",
                "-h, --help",
            ] {
                assert!(help.contains(option), "{option}");
            }
        }
        assert!(HELP.1.is_ascii());
    }
}
