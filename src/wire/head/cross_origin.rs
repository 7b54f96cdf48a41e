//! What a browser says of the page that asks, if the page comes from elsewhere (CORS, in the Fetch
//! standard).

/// The fields of it; a field that came twice holds both values, and so names nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct CrossOrigin {
    /// `Origin`: where the page comes from.
    pub origin: Option<String>,
    /// `Access-Control-Request-Method`: the browser asks whether a request of this method may follow.
    pub method: Option<String>,
    /// `Access-Control-Request-Headers`: with these fields.
    pub fields: Option<String>,
    /// `Access-Control-Request-Private-Network`: to an address that the internet does not reach.
    pub private_network: Option<String>,
}

impl CrossOrigin {
    /// Takes note of a field, if it is one of these.
    pub(super) fn note(noted: &mut Option<Box<CrossOrigin>>, name: &[u8], value: &[u8]) {
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        let place: fn(&mut CrossOrigin) -> &mut Option<String> = if is("origin") {
            |noted| &mut noted.origin
        } else if is("access-control-request-method") {
            |noted| &mut noted.method
        } else if is("access-control-request-headers") {
            |noted| &mut noted.fields
        } else if is("access-control-request-private-network") {
            |noted| &mut noted.private_network
        } else {
            return;
        };
        let value = String::from_utf8_lossy(value);
        match place(noted.get_or_insert_default()) {
            Some(earlier) => {
                earlier.push_str(", ");
                earlier.push_str(&value);
            }
            none => *none = Some(value.into_owned()),
        }
    }
}
