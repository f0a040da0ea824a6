//! Where a request came from, behind the proxies that are trusted to say so.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

/// The header that each proxy appends who it was asked by to.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The address that a request came from: the last one that no trusted proxy vouches for. What the client itself
/// wrote into the header is to the left of it and never believed.
pub(super) fn source(
    trusted: &[IpNet],
    peer: Option<SocketAddr>,
    headers: &HeaderMap,
) -> Option<IpAddr> {
    let mut source = peer?.ip().to_canonical();
    let lines = headers.get_all(FORWARDED_FOR).iter().filter_map(|line| line.to_str().ok());
    let said: Vec<_> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    for said in said.iter().rev() {
        if !trusted.iter().any(|net| net.contains(&source)) {
            break;
        }
        // What is no address says nothing of what is before it either.
        let Some(address) = address(said) else { break };
        source = address;
    }
    Some(source)
}

/// An address, which some proxies write with its port.
fn address(text: &str) -> Option<IpAddr> {
    let plain = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let read = plain.parse::<IpAddr>().ok();
    read.or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip())).map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(peer: &str, lines: &[&str]) -> String {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().unwrap()).into();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        let peer = SocketAddr::new(peer.parse().unwrap(), 1);
        source(&trusted, Some(peer), &headers).unwrap().to_string()
    }

    #[test]
    fn only_what_trusted_proxies_say_is_believed() {
        for (peer, lines, source) in [
            ("192.0.2.1", &["203.0.113.9"][..], "192.0.2.1"),
            ("10.0.0.1", &[][..], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9"][..], "203.0.113.9"),
            ("10.0.0.1", &["6.6.6.6, 203.0.113.9"][..], "203.0.113.9"),
            ("10.0.0.1", &["6.6.6.6, 203.0.113.9, 10.0.0.2"][..], "203.0.113.9"),
            ("10.0.0.1", &["6.6.6.6", "203.0.113.9", "10.0.0.2"][..], "203.0.113.9"),
            ("10.0.0.1", &["6.6.6.6, nonsense, 10.0.0.2"][..], "10.0.0.2"),
            ("::ffff:10.0.0.1", &["203.0.113.9:4711"][..], "203.0.113.9"),
            ("fd00::1", &["[2001:db8::1]:443"][..], "2001:db8::1"),
            ("fd00::1", &["[2001:db8::1]"][..], "2001:db8::1"),
        ] {
            assert_eq!(of(peer, lines), source, "{peer} {lines:?}");
        }
    }
}
