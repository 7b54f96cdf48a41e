//! What is waited for, as people read it.

use super::Label;

/// A free upstream connection.
pub const QUEUE: Label = &"等待空闲连接 (waiting for a free connection)";
/// Name resolution and TCP.
pub const CONNECT: Label = &"建立连接 (connect)";
/// The TLS handshake.
pub const TLS: Label = &"TLS握手 (TLS handshake)";
/// A provider that does not take the request.
pub const WRITE_TO_PROVIDER: Label = &"发送请求 (sending the request)";
/// The first byte of the provider's response.
pub const FIRST_BYTE: Label = &"等待首字节 (first byte)";
/// The next bytes of a stream.
pub const NEXT_BYTES: Label = &"等待后续数据 (next bytes)";
/// The end of a response that does not stream.
pub const WHOLE_ANSWER: Label = &"等待完整响应 (whole answer)";
/// A request head from a client.
pub const REQUEST_HEAD: Label = &"读取请求头 (request head)";
/// The next bytes of a request body.
pub const REQUEST_BODY: Label = &"读取请求体 (request body)";
/// A request body that comes too slowly on average.
pub const SLOW_REQUEST_BODY: Label =
    &"读取请求体过慢，平均不足500字节/秒 (request body slower than 500 bytes a second)";
/// A client that does not read its response.
pub const WRITE_TO_CLIENT: Label = &"发送给客户端 (write to client)";
/// The configuration file, and reloads that were asked for before.
pub const RELOAD: Label = &"读取配置文件 (reading the configuration)";
