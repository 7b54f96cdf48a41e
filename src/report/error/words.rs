//! The words of the errors.

use std::fmt::{self, Display as _};

use super::{timeout, Error};
use crate::downstream;
use crate::language::{pick, Joined, Text, Words};
use crate::message;
use crate::runtime::Wait;
use crate::upstream;

/// Promised without a translation in the same string.
const NO_TOKEN: Words =
    Words("未提供API token", "no API token: send `Authorization: Bearer <token>`");

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Client(error) => write_client(f, error),
            Error::Upstream(provider, error) => write_upstream(f, provider.name(), error),
            Error::NoAnswer(errors) => {
                Joined(&errors.iter().map(Text::new).collect::<Vec<_>>()).fmt(f)
            }
            Error::BadRequest(reason) => reason.fmt(f),
            Error::ReloadRefused(mistakes) => Joined(mistakes).fmt(f),
            Error::UnknownCoding(coding) => message!("不支持的请求体编码 {coding}", "a request body in this Content-Encoding cannot be read" => "a request body in Content-Encoding {coding} cannot be read").fmt(f),
            Error::CodedForm(coding) => message!("表单不能用 Content-Encoding {coding} 压缩", "a form must not be in a Content-Encoding" => "a form must not be in Content-Encoding {coding}").fmt(f),
            Error::ModelBehindFile(limit) => message!("表单过大，上限 {limit} 字节，因为 model 在文件之后：请把 model 放在文件之前，或用 ?model=", "form over {limit} bytes: send model before file, or `?model=`").fmt(f),
            Error::NoToken => f.write_str(pick(NO_TOKEN.0, NO_TOKEN.1)),
            Error::BadToken => Words("API token无效", "invalid API token").fmt(f),
            Error::NotFound(path) => message!("未找到路径 {path}", "no such path" => "no such path: {path}").fmt(f),
            Error::PathTwice(path) => message!("未找到路径 {path}：路径有一段重复，请检查客户端的 base_url", "no such path: a part of it is there twice, check the client's base_url" => "no such path: {path}: a part of it is there twice, check the client's base_url").fmt(f),
            Error::NoWebSocket => {
                Words("这里不支持 WebSocket，请用普通 HTTP", "no WebSocket here: use plain HTTP").fmt(f)
            }
            Error::MethodNotAllowed(allowed) => {
                message!("不支持的请求方法，允许 {allowed}", "method not allowed" => "method not allowed, only {allowed}").fmt(f)
            }
            Error::ModelNotFound(model) => message!("未找到模型 {model}", "no such model" => "no such model: {model}").fmt(f),
            Error::NotOffered { provider, endpoint } => message!(
                "提供商 {provider} 不提供接口 {endpoint}",
                "provider {provider} does not offer {endpoint}"
            )
            .fmt(f),
            Error::SeveralProviders { model, providers: [one, other] } => message!(
                "未找到模型 {model}：提供商 {one} 和 {other} 都有，请写成 {one}/{model} 或 {other}/{model}",
                "no such model: {model}: providers {one} and {other} both list it, ask for {one}/{model} or {other}/{model}"
            )
            .fmt(f),
            Error::NotYetKnown(model) => message!(
                "尚未获得所有提供商的模型列表，暂时不知道 {model} 属于谁",
                "not every provider has listed its models yet: not known whose {model} is"
            )
            .fmt(f),
            Error::UnknownStored(id) => message!("不知道 {id} 在哪个提供商：请加 ?model=提供商/模型 或请求头 x-ai-proxy-model", "no provider is known for it: add `?model=provider/model` or the header `x-ai-proxy-model`" => "no provider is known for {id}: add `?model=provider/model` or the header `x-ai-proxy-model`"
            ).fmt(f),
        }
    }
}

fn write_client(f: &mut fmt::Formatter<'_>, error: &downstream::Error) -> fmt::Result {
    use downstream::Error as Client;
    match error {
        Client::Head(error) => write!(f, "{error}"),
        Client::Body(error) => {
            message!("请求体无效: {error}", "invalid request body: {error}").fmt(f)
        }
        Client::Form(error) => {
            message!("请求体无效: {error}", "invalid request body: {error}").fmt(f)
        }
        Client::TooLarge(limit) => {
            message!("请求体过大，上限 {limit} 字节", "request body over {limit} bytes").fmt(f)
        }
        Client::Overloaded(limit) => message!(
            "并发请求过多，合计内存上限 {limit} 字节",
            "too many requests at once: they are over {limit} bytes together"
        )
        .fmt(f),
        Client::Timeout(wait) => {
            let (label, seconds) = (wait.label, Seconds(wait));
            message!("请求超时: {label}，{seconds}", "request timed out after {seconds}: {label}")
                .fmt(f)
        }
        Client::Gone => Words("客户端已断开", "client gone").fmt(f),
    }
}

fn write_upstream(
    f: &mut fmt::Formatter<'_>,
    provider: &str,
    error: &upstream::Error,
) -> fmt::Result {
    match error {
        upstream::Error::Busy(limit, wait) => {
            let seconds = Seconds(wait);
            message!(
                "并发请求过多，上限 {limit} 个上游连接，等待了 {seconds}",
                "too many requests at once: no free connection of {limit} within {seconds}"
            )
            .fmt(f)
        }
        upstream::Error::TooLarge(limit) => message!(
            "提供商 {provider} 响应过大，上限 {limit} 字节",
            "provider {provider}: answer over {limit} bytes"
        )
        .fmt(f),
        _ => match timeout(error) {
            Some(wait) => {
                let (label, seconds) = (wait.label, Seconds(wait));
                message!(
                    "提供商 {provider} 响应超时: {label}，{seconds}",
                    "provider {provider} timed out: {label}, {seconds}"
                )
                .fmt(f)
            }
            None => message!(
                "提供商 {provider} 请求失败: {error}",
                "provider {provider} failed: {error}"
            )
            .fmt(f),
        },
    }
}

/// The length of a wait as people write it: `30 s`, `0.3 s`.
struct Seconds<'a>(&'a Wait);

impl fmt::Display for Seconds<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0.length.as_secs_f64())
    }
}
