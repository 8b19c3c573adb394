//! Where a request comes from, when proxies stand in front.
//!
//! Whoever connects is believed about himself alone. A proxy that the deployment trusts is believed about who connected to it, which it
//! has appended to `X-Forwarded-For`; that may be another such proxy, and so on from the right. What stands further to the left was
//! sent along by the client, who may write there what he likes.

use std::net::{IpAddr, SocketAddr};

use actix_web::HttpRequest;
use ipnet::IpNet;

/// Name of the header that proxies append to.
const FORWARDED: &str = "x-forwarded-for";

/// The client's address, IPv4 as such; none where the connection has none.
pub fn of(request: &HttpRequest, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip();
    if trusted.is_empty() {
        return Some(peer.to_canonical());
    }
    // What is no text is nothing that a proxy has written: it ends the walk.
    let lines: Vec<&str> = request.headers().get_all(FORWARDED).map(|line| line.to_str().unwrap_or("?")).collect();
    Some(client(peer, &lines, trusted))
}

/// The same of the peer's address and the header's lines in their order.
pub fn client(peer: IpAddr, forwarded: &[&str], trusted: &[IpNet]) -> IpAddr {
    let mut client = peer.to_canonical();
    let mut hops = forwarded.iter().rev().flat_map(|line| line.rsplit(','));
    while is_trusted(client, trusted) {
        match hops.next().and_then(address) {
            Some(before) => client = before,
            None => break,
        }
    }
    client
}

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    let mapped = match address {
        IpAddr::V4(address) => IpAddr::V6(address.to_ipv6_mapped()),
        IpAddr::V6(_) => address,
    };
    trusted.iter().any(|net| net.contains(&address) || net.contains(&mapped))
}

/// One hop, as proxies write it: an address, some with a port.
fn address(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let bare = hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(hop);
    let parsed = bare.parse::<IpAddr>().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    parsed.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&str]) -> String {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "2001:db8::/32", "::1/128"].iter().map(|net| net.parse().expect("a range")).collect();
        client(peer.parse().expect("an address"), forwarded, &trusted).to_string()
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_nobody_else() {
        assert_eq!(seen("203.0.113.9", &[]), "203.0.113.9");
        assert_eq!(seen("203.0.113.9", &["198.51.100.1"]), "203.0.113.9", "he says so himself");
        assert_eq!(seen("203.0.113.9", &["10.0.0.1, 10.0.0.2"]), "203.0.113.9");
        assert_eq!(seen("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &["1.1.1.1, 198.51.100.1"]), "198.51.100.1", "the client wrote the first");
        assert_eq!(seen("10.0.0.1", &["10.9.9.9,198.51.100.1"]), "198.51.100.1", "even when it looks like a proxy");
    }

    #[test]
    fn chains_are_walked_from_the_right() {
        assert_eq!(seen("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.0.0.3, 10.0.0.2"]), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &["1.1.1.1, 198.51.100.1", "10.0.0.3", " 10.0.0.2 "]), "198.51.100.1", "over several lines");
        assert_eq!(seen("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3", "somebody behind the proxies");
        assert_eq!(seen("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn every_writing_of_an_address_is_one() {
        for peer in ["::ffff:10.0.0.1", "2001:db8::1", "::1"] {
            assert_eq!(seen(peer, &["198.51.100.1"]), "198.51.100.1", "{peer}");
        }
        assert_eq!(seen("::ffff:203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        for (hop, expected) in [
            ("::ffff:198.51.100.1", "198.51.100.1"),
            ("198.51.100.1:5123", "198.51.100.1"),
            ("[2606:4700::1]:443", "2606:4700::1"),
            ("[2606:4700::1]", "2606:4700::1"),
            ("2606:4700::1", "2606:4700::1"),
            ("1.1.1.1, ::ffff:10.0.0.2", "1.1.1.1"),
        ] {
            assert_eq!(seen("10.0.0.1", &[hop]), expected, "{hop}");
        }
        let mapped: Vec<IpNet> = vec!["::ffff:10.0.0.0/104".parse().expect("a range")];
        assert_eq!(client([10, 0, 0, 1].into(), &["1.1.1.1"], &mapped), IpAddr::from([1, 1, 1, 1]));
    }

    #[test]
    fn garbage_ends_the_walk_at_the_last_that_is_known() {
        for garbage in
            ["", ",", "unknown", "_hidden", "1.1.1", "1.1.1.1.1", "999.1.1.1", "1.1.1.1 2.2.2.2", "198.51.100.1, nonsense", "é", "[::1"]
        {
            assert_eq!(seen("10.0.0.1", &[garbage]), "10.0.0.1", "{garbage:?}");
        }
        assert_eq!(seen("10.0.0.1", &["198.51.100.1, , 10.0.0.2"]), "10.0.0.2");
        let long = "10.0.0.2,".repeat(10_000);
        assert_eq!(seen("10.0.0.1", &[&long]), "10.0.0.1");
    }
}
