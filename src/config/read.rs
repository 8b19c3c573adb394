//! What the settings' texts mean; errors are sentences.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;

/// To listen on.
pub fn addresses(listen: &str) -> Result<Vec<SocketAddr>, String> {
    let wrong = |why: String| format!("{listen:?} is not an address to listen on, like 127.0.0.1:8080 or [::]:80{why}.");
    let mut found: Vec<SocketAddr> = listen.to_socket_addrs().map_err(|e| wrong(format!(" ({e})")))?.collect();
    found.dedup();
    if found.is_empty() { Err(wrong(String::new())) } else { Ok(found) }
}

/// That webhooks may reach although they are private.
pub fn ranges(list: &str) -> Result<Vec<IpNet>, String> {
    let parse = |text: &str| {
        let net = text.parse::<IpNet>().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
        let net = net.map_err(|_| format!("{text:?} is not a range of addresses like 10.1.0.0/16."))?;
        if may_be_allowed(&net) {
            Ok(net)
        } else {
            Err(format!("{text} is not inside a loopback or private range, the only ones to allow."))
        }
    };
    list.split(',').map(str::trim).filter(|text| !text.is_empty()).map(parse).collect()
}

/// Loopback, RFC 1918, RFC 6598 and unique local ranges: every other one is either public or never to be reached.
fn may_be_allowed(net: &IpNet) -> bool {
    ["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "::1/128", "fc00::/7"]
        .iter()
        .filter_map(|range| range.parse::<IpNet>().ok())
        .any(|range| range.contains(net))
}

/// Yes or no.
pub fn truth(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" | "" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false.")),
    }
}

/// With both ends.
pub fn port_ranges(list: &str) -> Result<Vec<RangeInclusive<u16>>, String> {
    let parse = |text: &str| {
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
        let range = port(from).zip(port(to)).filter(|(from, to)| from <= to);
        range.map(|(from, to)| from..=to).ok_or_else(|| format!("{text:?} is neither a port nor a range like 1024-65535."))
    };
    let ports: Vec<_> = list.split(',').map(str::trim).filter(|text| !text.is_empty()).map(parse).collect::<Result<_, _>>()?;
    if ports.is_empty() { Err("It names no port.".into()) } else { Ok(ports) }
}

/// How long something is kept.
pub fn days(text: &str, least: u16) -> Result<u16, String> {
    let days = text.trim().parse().ok().filter(|days| (least..=36_500).contains(days));
    days.ok_or_else(|| format!("{text:?} is not between {least} and 36500 days."))
}

/// Between tries.
pub fn pauses(list: &str) -> Result<Vec<Duration>, String> {
    let parse = |text: &str| {
        let seconds = text.parse::<u32>().ok().filter(|seconds| (1..=604_800).contains(seconds));
        seconds.map(|seconds| Duration::from_secs(seconds.into())).ok_or_else(|| format!("{text:?} is not between 1 and 604800 seconds."))
    };
    let pauses: Vec<Duration> = list.split(',').map(str::trim).map(parse).collect::<Result<_, _>>()?;
    if pauses.len() <= 20 { Ok(pauses) } else { Err(format!("{} tries are more than 20.", pauses.len())) }
}

/// Of proxies in front: any.
pub fn proxies(list: &str) -> Result<Vec<IpNet>, String> {
    let parse = |text: &str| {
        let net = text.parse::<IpNet>().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
        let net = net.map_err(|_| format!("{text:?} is not a range of addresses like 10.1.0.0/16."))?;
        if net.prefix_len() == 0 { Err(format!("{text} is everybody: name the proxies that are yours.")) } else { Ok(net) }
    };
    list.split(',').map(str::trim).filter(|text| !text.is_empty()).map(parse).collect()
}
