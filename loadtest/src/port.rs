//! Ports of loopback for what is started here, and started again.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::bail;

/// Below those that Linux gives to whoever connects (`ip_local_port_range`, from 32768), and above those of engines. A
/// client could otherwise be given the port of a process that is still to start, or that is down; one that looks whether
/// it listens yet would even reach itself, sooner or later (a simultaneous open, RFC 9293 section 3.5).
const PORTS: Range<u16> = 20_000..30_000;

/// How many were looked at.
static LOOKED: AtomicU32 = AtomicU32::new(0);

/// Where nobody listens: another one each time, until all were given. Another process begins elsewhere; that it looks
/// at the same one at once is unlikely, and told by whoever is second to listen.
pub fn free() -> anyhow::Result<SocketAddr> {
    let count = u32::from(PORTS.end - PORTS.start);
    // A prime, so that processes that follow each other are far apart.
    let first = std::process::id().wrapping_mul(7_919);
    for _ in PORTS {
        let at = first.wrapping_add(LOOKED.fetch_add(1, Ordering::Relaxed)) % count;
        let port = PORTS.start + u16::try_from(at)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no port of {PORTS:?} is free")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_is_another_one_that_nobody_listens_on_and_no_client_is_given() {
        let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
        let of_clients: u16 = range.split_whitespace().next().unwrap().parse().unwrap();
        let taken = free().unwrap();
        let ports: BTreeSet<_> = (0..100).map(|_| free().unwrap()).collect();
        assert_eq!(ports.len(), 100);
        assert!(!ports.contains(&taken), "{taken}: {ports:?}");
        assert!(ports.iter().all(|address| address.port() < of_clients), "{ports:?}");
    }
}
