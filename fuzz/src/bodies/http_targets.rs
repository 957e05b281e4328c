//! Where a request goes, as the sender reads it and as the gate reads it: the same place, or it is refused.
//!
//! Input: a URI.

use airssys_host::gate::kind::Kind;
use airssys_host::gate::target::{HTTPS, Host, Target};
use airssys_host::wasi::fuzzing::{http_place, http_request_text};

/// One input.
pub fn one(text: &str) {
    let Some(place) = http_place(text) else {
        return;
    };
    assert!(
        !place.host.is_empty() && place.path.starts_with('/'),
        "{place:?}"
    );
    assert!(
        !place.path.split('/').any(|part| matches!(part, "." | "..")),
        "{place:?}"
    );
    assert!(!place.path.contains("//"), "{place:?}");
    let asked = http_request_text(&place);
    // What the gate cannot read it refuses.
    let Ok(target) = Target::parse(Kind::Http, 1, &asked) else {
        return;
    };
    assert_eq!(target.scheme == HTTPS, place.tls);
    assert_eq!(target.port, Some(place.port));
    match &target.host {
        Some(Host::Name(range)) => assert_eq!(&target.text[range.clone()], place.host.as_bytes()),
        Some(Host::Address(address)) => {
            let sent: std::net::IpAddr = place.host.parse().expect("the sender has an address too");
            assert_eq!(airssys_host::gate::address::canonical(sent), *address);
        }
        None => panic!("a place without a host: {place:?}"),
    }
    let path = &target.text[target.segments.clone()];
    let sent = match place.path.strip_suffix('/') {
        Some("") | None => place.path.as_str(),
        Some(rest) => rest,
    };
    assert_eq!(path, sent.as_bytes(), "{place:?}");
}
