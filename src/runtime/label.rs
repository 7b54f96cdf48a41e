//! What is waited for, as people read it.

use super::Label;
use crate::language::Words;

/// A free upstream connection.
pub const QUEUE: Label = &Words("等待空闲连接", "waiting for a free connection");
/// Name resolution and TCP.
pub const CONNECT: Label = &Words("建立连接", "connecting");
/// The TLS handshake.
pub const TLS: Label = &Words("TLS握手", "TLS handshake");
/// A provider that does not take the request.
pub const WRITE_TO_PROVIDER: Label = &Words("发送请求", "sending the request");
/// The first byte of the provider's response.
pub const FIRST_BYTE: Label = &Words("等待首字节", "waiting for the first byte");
/// The next bytes of a stream.
pub const NEXT_BYTES: Label = &Words("等待后续数据", "waiting for the next bytes");
/// The end of a response that does not stream.
pub const WHOLE_ANSWER: Label = &Words("等待完整响应", "waiting for the whole answer");
/// A request head from a client.
pub const REQUEST_HEAD: Label = &Words("读取请求头", "reading the request head");
/// The next bytes of a request body.
pub const REQUEST_BODY: Label = &Words("读取请求体", "reading the request body");
/// A request body that comes too slowly on average.
pub const SLOW_REQUEST_BODY: Label =
    &Words("读取请求体过慢，平均不足500字节/秒", "request body slower than 500 bytes a second");
/// A client that does not read its response.
pub const WRITE_TO_CLIENT: Label = &Words("发送给客户端", "writing to the client");
/// The configuration file, and reloads that were asked for before.
pub const RELOAD: Label = &Words("读取配置文件", "reading the configuration");
