//! K4: which bodies say that the quota is used up. Such a key rests for every model, a limited one only for
//! this one: the next request, for another model, shows which it was.

use crate::row::{run, Row};

/// Words of providers, and whether they mean the quota.
const BODIES: [(u16, bool, &str); 30] = [
    (429, true, r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#),
    (429, true, r#"{"error":{"message":"x","type":"insufficient_quota","code":null}}"#),
    (429, true, r#"{"error":{"message":"x","type":"y","code":"insufficient_quota"}}"#),
    (429, true, r#"{"error":{"code":"billing_hard_limit_reached","message":"Billing hard limit has been reached"}}"#),
    (403, true, r#"{"error":{"code":"quota_exceeded","message":"x"}}"#),
    (403, true, r#"{"error":{"code":"account_deactivated","message":"x"}}"#),
    (429, true, r#"{"error":{"code":"1113","message":"余额不足或无可用资源包,请充值。"}}"#),
    (429, true, r#"{"error":{"code":"1113","message":"\u4f59\u989d\u4e0d\u8db3"}}"#),
    (429, true, r#"{"error":{"message":"您的免费额度已用完"}}"#),
    (403, true, r#"{"error":{"message":"账户已欠费"}}"#),
    (403, true, r#"{"type":"error","error":{"type":"permission_error","message":"Your credit balance is too low to access the Anthropic API."}}"#),
    (429, true, r#"{"error":{"message":"You have no credits left."}}"#),
    (429, true, r#"{"error":{"message":"Insufficient Balance","type":"unknown_error"}}"#),
    (429, true, r#"{"code":"insufficient_quota","message":"x"}"#),
    (403, true, r#"{"code":30001,"message":"Sorry, your account balance is insufficient","data":null}"#),
    (402, true, "no JSON at all"),
    (402, true, ""),
    (429, true, " \n{\"a\":[1,{\"code\":\"x\"}],\"error\":{\"message\":\"Quota\",\"code\":\"quota_exceeded\"}}\n"),
    (429, false, r#"{"error":{"message":"Rate limit reached for requests","type":"requests","code":"rate_limit_exceeded"}}"#),
    (429, false, r#"{"error":{"message":"The load balancer is busy"}}"#),
    (429, false, r#"{"error":{"message":"Load balance failed: no capacity"}}"#),
    (429, false, r#"{"error":{"message":"an accredited, balanced and imbalanced answer"}}"#),
    (429, false, r#"{"error":{"message":"slow down","param":"credit","detail":"余额"}}"#),
    (429, false, r#"{"error":{"message":"slow down"},"message":"insufficient_quota"}"#),
    (429, false, "insufficient_quota: no credit, 余额不足"),
    (429, false, r#"{"error":{"message":"你发送的请求过快"}}"#),
    (429, false, ""),
    (429, false, "[\"insufficient_quota\"]"),
    (429, false, r#"{"detail":{"error":{"code":"insufficient_quota"}}}"#),
    (403, false, r#"{"error":{"message":"This model is not available in your region","code":"unsupported_country"}}"#),
];

fn row(status: u16, says_quota: bool, name: String, script: String) -> Row {
    let course = format!("anna#1={status}, anna#2=200");
    let next = if says_quota { "anna#2/x=200" } else { "anna#1/x=200" };
    Row::new(name, "anna:2")
        .up("anna#1/m", script)
        .ask("anna/m", 200, &course)
        .ask("anna/x", 200, next)
        .ask("anna/m", 200, "anna#2=200")
}

#[test]
fn quota_is_told_from_a_limit_by_the_error_in_the_body() {
    let rows = BODIES.map(|(status, says_quota, body)| {
        let name = format!("{status} {}: {body}", if says_quota { "quota" } else { "limit" });
        row(status, says_quota, name, format!("{status} | body {body}"))
    });
    run(rows.into());
}

#[test]
fn the_body_of_such_an_answer_is_read_as_far_as_it_helps() {
    let code = r#""code":"insufficient_quota""#;
    let long = "x".repeat(20_000);
    let front = format!("429 | body {{\"error\":{{{code},\"message\":\"{long}\"}}}}");
    let back = format!("429 | body {{\"error\":{{\"message\":\"{long}\",{code}}}}}");
    let small = format!("429 | body {{\"error\":{{{code}}}}}");
    run(vec![
        row(429, true, "gzip".into(), format!("{small} | gzip")),
        row(429, true, "gzip of more than 16 KiB".into(), format!("{front} | gzip")),
        row(429, true, "over 16 KiB, the code in front".into(), front.clone()),
        row(429, false, "over 16 KiB, the code far behind".into(), back.clone()),
        row(429, true, "no gzip although it says so".into(), format!("{small} | content-encoding: gzip")),
        row(429, true, "in chunks".into(), format!("{small} | chunked")),
        row(429, true, "without a length".into(), format!("{small} | unframed")),
        row(429, true, "over 16 KiB in chunks".into(), format!("{front} | chunked")),
        Row::new("a body that never ends is waited for a second", "anna:2")
            .up("anna#1", format!("429 | half | body {{\"error\":{{\"message\":\"{}\",{code}}}}}", "y".repeat(200)))
            .ask("anna/m", 200, "anna#1=429, anna#2=200")
            .ask("anna/x", 200, "anna#1/x=429, anna#2/x=200"),
        Row::new("a long body is relayed whole", "anna:2")
            .up("anna", front)
            .ask("anna/m", 429, "anna#1=429, anna#2=429"),
        Row::new("a compressed body is relayed as it came", "anna:2")
            .up("anna", format!("{small} | gzip"))
            .ask("anna/m", 429, "anna#1=429, anna#2=429")
            .has("content-encoding: gzip"),
        Row::new("400 is never about quota", "anna:2")
            .up("anna", r#"400 | body {"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}"#)
            .ask("anna/m", 400, "anna#1=400")
            .ask("anna/x", 400, "anna#1/x=400"),
        Row::new("503 is never about quota", "anna:2")
            .up("anna#1", r#"503 | body {"error":{"code":"insufficient_quota"}}"#)
            .ask("anna/m", 503, "anna#1=503")
            .times(2),
    ]);
}
