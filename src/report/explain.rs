//! Where the time of a request went, in the head of its response.

use std::fmt::Write as _;
use std::rc::Rc;
use std::time::{Duration, Instant};

use percent_encoding::{utf8_percent_encode, AsciiSet, CONTROLS};

use crate::upstream::{Part, Timings};
use crate::wire::{push_field, remove_field, NAMED_MODEL};

/// The names of the parts in `Server-Timing` (W3C, Server Timing §2.1). The last is said only where there was
/// more than one attempt.
const PARTS: [(Part, &str); 5] = [
    (Part::Queue, "queue"),
    (Part::Connect, "connect"),
    (Part::Tls, "tls"),
    (Part::FirstByte, "first_byte"),
    (Part::Wait, "wait"),
];
/// A wait for the rest of a body that is held until it is whole is said from here on.
const BODY_MIN: Duration = Duration::from_millis(1);
/// What a field's value cannot hold, and the sign of an encoding.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// What is told of one request.
pub struct Explanation {
    /// Filled while the request is on its way.
    pub timings: Rc<Timings>,
    /// When the head of the provider's response was here.
    pub head_at: Option<Instant>,
}

impl Explanation {
    /// Nothing is known yet.
    pub fn new() -> Box<Explanation> {
        Box::new(Explanation { timings: Rc::default(), head_at: None })
    }

    /// The value of `Server-Timing`, in milliseconds: all parts together are what passed from `started`
    /// to `now`.
    pub fn server_timing(&self, started: Instant, now: Instant) -> String {
        let mut value = String::new();
        let mut left = now.saturating_duration_since(started);
        let mut add = |name: &str, length: Duration| {
            let _ = write!(value, "{name};dur={:.2}, ", length.as_secs_f64() * 1000.0);
        };
        for (part, name) in PARTS {
            let length = self.timings.get(part);
            left = left.saturating_sub(length);
            if part != Part::Wait || length > Duration::ZERO {
                add(name, length);
            }
        }
        let body = self.head_at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        if body >= BODY_MIN {
            left = left.saturating_sub(body);
            add("body", body);
        }
        add("proxy", left);
        value.truncate(value.len() - ", ".len());
        value
    }
}

/// A model's name as a field's value (RFC 9110 §5.5).
pub fn model_value(model: &str) -> String {
    utf8_percent_encode(model, ENCODED).to_string()
}

/// Puts both into a provider's head.
pub fn push(head: &mut Vec<u8>, server_timing: &str, model: &str) {
    remove_field(head, NAMED_MODEL);
    push_field(head, "server-timing", server_timing.as_bytes());
    if !model.is_empty() {
        push_field(head, NAMED_MODEL, model_value(model).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_what_passed() {
        let explanation = Explanation::new();
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let none =
            "queue;dur=0.00, connect;dur=0.00, tls;dur=0.00, first_byte;dur=0.00, proxy;dur=";
        assert_eq!(explanation.server_timing(start, after(7)), format!("{none}7.00"));
        let explanation = Explanation { head_at: Some(after(6)), ..*explanation };
        assert_eq!(explanation.server_timing(start, after(6)), format!("{none}6.00"));
        let with_body = none.replace("proxy;dur=", "body;dur=4.00, proxy;dur=6.00");
        assert_eq!(explanation.server_timing(start, after(10)), with_body);
        explanation.timings.add(Part::Wait, Duration::from_millis(5));
        let with_wait = with_body.replace("body;", "wait;dur=5.00, body;").replace("6.00", "1.00");
        assert_eq!(explanation.server_timing(start, after(10)), with_wait);
    }

    #[test]
    fn any_name_fits_into_a_field() {
        for (model, value) in [("p/m", "p/m"), ("p/名 1%\n", "p/%E5%90%8D%201%25%0A")] {
            assert_eq!(model_value(model), value);
        }
    }
}
