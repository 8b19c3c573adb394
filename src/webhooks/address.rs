//! Where a webhook may lie. An endpoint's owner chooses the URL, and this server stands inside somebody's network: whatever
//! the internet could not reach by itself is refused, so that a webhook is never a way in.
//!
//! [`check_url`] speaks when a URL is saved, [`check_address`] for every address that is about to be connected to: a name
//! may lead elsewhere by then. Two tiers: loopback and private addresses open where `LATCHKEY_WEBHOOK_ALLOW` says so, all
//! others never. An IPv6 address that carries an IPv4 one is refused whatever it carries: no name needs it, and so there is
//! one spelling for every allowed address.
//!
//! The ranges are those of IANA's special-purpose registries (RFC 6890 and its successors) that are not globally reachable.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use rustls::pki_types::DnsName;
use url::{Host, Url};

use crate::site::WebhookRules;

/// Most characters of a URL, as written and as sent.
pub const LONGEST_URL: usize = 2_048;

const CURE: &str = "Use one that the internet can reach.";

/// An address that webhooks may not reach; its text is a sentence with the cure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The address.
    pub address: IpAddr,
    what: What,
}

impl Refused {
    /// The sentence about a name that leads there. Which address it is remains untold: whoever may write a URL must not be able
    /// to ask this server what names mean inside its network.
    pub fn behind(&self, name: &str) -> String {
        match &self.what {
            What::Plain(what) => format!("{name} leads to {what}. {CURE}"),
            What::Carrying { form, inside, .. } => {
                let inside = inside.unwrap_or("a public address");
                format!("{name} leads to an IPv6 address that carries an IPv4 one ({form}): {inside}. {CURE}")
            }
        }
    }
}

/// What an address is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    /// With its article.
    Plain(&'static str),
    /// An IPv6 address with an IPv4 one in it.
    Carrying {
        form: &'static str,
        inner: Ipv4Addr,
        /// What the inner one is, with its article, where it is not public.
        inside: Option<&'static str>,
    },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address;
        match &self.what {
            What::Plain(what) => write!(f, "{address} is {what}. {CURE}"),
            What::Carrying { form, inner, inside: Some(inside) } => {
                write!(f, "{address} carries {inner} ({form}), {inside}. {CURE}")
            }
            What::Carrying { form, inner, inside: None } => write!(f, "{address} carries {inner} ({form}). {CURE}"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tier {
    /// Unless allowed by setting.
    Private,
    Never,
}
use Tier::{Never, Private};

/// IPv4: what is not here is public.
const V4: &[(Ipv4Net, Tier, &str)] = &[
    (v4([0, 0, 0, 0], 8), Never, "an address of no machine"),
    (v4([10, 0, 0, 0], 8), Private, "a private address"),
    (v4([100, 100, 100, 200], 32), Never, "an address of a cloud's metadata"),
    (v4([100, 64, 0, 0], 10), Private, "a private address (shared by a carrier's customers)"),
    (v4([127, 0, 0, 0], 8), Private, "a loopback address"),
    (v4([168, 63, 129, 16], 32), Never, "an address of a cloud's metadata"),
    (v4([169, 254, 0, 0], 16), Never, "a link-local address"),
    (v4([172, 16, 0, 0], 12), Private, "a private address"),
    (v4([192, 0, 0, 0], 24), Never, "an address for protocols"),
    (v4([192, 0, 2, 0], 24), Never, "an address for documentation"),
    (v4([192, 88, 99, 0], 24), Never, "an address of 6to4 relays"),
    (v4([192, 168, 0, 0], 16), Private, "a private address"),
    (v4([198, 18, 0, 0], 15), Never, "an address for benchmarks"),
    (v4([198, 51, 100, 0], 24), Never, "an address for documentation"),
    (v4([203, 0, 113, 0], 24), Never, "an address for documentation"),
    (v4([224, 0, 0, 0], 4), Never, "a multicast address"),
    (v4([255, 255, 255, 255], 32), Never, "the broadcast address"),
    (v4([240, 0, 0, 0], 4), Never, "a reserved address"),
];

/// IPv6: what is not here is public inside [`GLOBAL_UNICAST`] and reserved outside of it.
const V6: &[(Ipv6Net, Tier, &str)] = &[
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), Never, "an address of no machine"),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), Private, "a loopback address"),
    (v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), Never, "an address whose traffic is discarded"),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), Never, "an address for documentation"),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), Never, "an address for protocols"),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), Never, "an address for documentation"),
    (v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16), Never, "an address for segment routing"),
    (v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128), Never, "an address of a cloud's metadata"),
    (v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128), Never, "an address of a cloud's metadata"),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), Private, "a private address"),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), Never, "a link-local address"),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), Never, "a site-local address"),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), Never, "a multicast address"),
];

/// All that IANA has ever given out to be reached by anybody.
const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

const fn v4([a, b, c, d]: [u8; 4], length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6([a, b, c, d, e, f, g, h]: [u16; 8], length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), length)
}

/// Whether a webhook may connect to this address.
///
/// # Errors
/// What the address is, in a sentence with the cure.
pub fn check_address(address: IpAddr, rules: &WebhookRules) -> Result<(), Refused> {
    let known = match address {
        IpAddr::V4(address) => range(address).map(|(tier, what)| (tier, What::Plain(what))),
        IpAddr::V6(address) => range_v6(address),
    };
    let Some((tier, what)) = known else { return Ok(()) };
    let allowed = tier == Private && rules.allow.iter().any(|net| net.contains(&address));
    if allowed { Ok(()) } else { Err(Refused { address, what }) }
}

fn range(address: Ipv4Addr) -> Option<(Tier, &'static str)> {
    V4.iter().find(|(net, ..)| net.contains(&address)).map(|(_, tier, what)| (*tier, *what))
}

fn range_v6(address: Ipv6Addr) -> Option<(Tier, What)> {
    if let Some((form, inner)) = carried(address) {
        let inside = range(inner).map(|(_, what)| what);
        return Some((Never, What::Carrying { form, inner, inside }));
    }
    let reserved = || (!GLOBAL_UNICAST.contains(&address)).then_some((Never, What::Plain("a reserved address")));
    V6.iter().find(|(net, ..)| net.contains(&address)).map(|(_, tier, what)| (*tier, What::Plain(what))).or_else(reserved)
}

/// The IPv4 address inside an IPv6 one, and the name of the form.
fn carried(address: Ipv6Addr) -> Option<(&'static str, Ipv4Addr)> {
    let pair = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    let s = address.segments();
    match s {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0, ..] => Some(("IPv4-compatible", pair(s[6], s[7]))),
        [0, 0, 0, 0, 0, 0xffff, ..] => Some(("IPv4-mapped", pair(s[6], s[7]))),
        [0, 0, 0, 0, 0xffff, 0, ..] => Some(("IPv4-translated", pair(s[6], s[7]))),
        // RFC 6052 and, of any length up to 96, RFC 8215: the last 32 bits are what is most often meant.
        [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0x64, 0xff9b, 1, ..] => Some(("NAT64", pair(s[6], s[7]))),
        [0x2002, ..] => Some(("6to4", pair(s[1], s[2]))),
        [0x2001, 0, ..] => Some(("Teredo tunnel", pair(!s[6], !s[7]))),
        _ => None,
    }
}

/// Whether a webhook may be sent to this URL, as far as the URL itself tells: the addresses of a name are looked at when
/// they are connected to. Returned in the spelling in which it is sent: lower case, punycode, no dot after the host.
///
/// # Errors
/// A sentence that names what is wrong, and the cure.
pub fn check_url(text: &str, rules: &WebhookRules) -> Result<Url, String> {
    let refuse = |why: &str| Err(why.to_owned());
    if text.trim().is_empty() {
        return refuse("There is no URL. Enter one like https://example.com/webhooks.");
    }
    let length = text.chars().count();
    if length > LONGEST_URL {
        return Err(format!("The URL has {length} characters. Use one of at most {LONGEST_URL}."));
    }
    // What follows is passed over, turned or decoded by one reader of URLs and not by another. Nobody needs it.
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return refuse("The URL has a space, a tab or a line break in it. Leave it out.");
    }
    if text.contains('\\') {
        return refuse("The URL has a backslash in it. Write / in its place.");
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(format!("{} is not a URL. Enter one like https://example.com/webhooks.", shown(text)));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "https" => {}
        "http" if rules.allow_http => {}
        "http" => return Err(format!("{} is sent unencrypted. Use https://.", shown(text))),
        _ => return Err(format!("{}:// does not lead to a webhook. Use https://.", shown(scheme))),
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return refuse("The URL has a user name or a password in it. Leave them out: the signature tells who sends.");
    }
    if authority.contains('%') {
        return Err(format!("{} has a % in it. Write the host plainly, and without a zone.", shown(authority)));
    }
    if authority.is_empty() || authority.starts_with(':') {
        return refuse("The URL names no host. Enter one like https://example.com/webhooks.");
    }
    let mut url = Url::parse(text).map_err(|e| format!("{} does not lead anywhere: {e}. Check its spelling.", shown(authority)))?;
    if url.fragment().is_some() {
        return refuse("The part of the URL after # is never sent. Leave it out.");
    }
    match url.host() {
        Some(Host::Ipv4(address)) => check_address(address.into(), rules).map_err(|refused| refused.to_string())?,
        Some(Host::Ipv6(address)) => check_address(address.into(), rules).map_err(|refused| refused.to_string())?,
        Some(Host::Domain(name)) => {
            // The root's dot: the same name, but not to those who compare certificates or count connections by host.
            let plain = name.strip_suffix('.').unwrap_or(name).to_owned();
            let is_name = DnsName::try_from(plain.as_str()).is_ok() && !plain.ends_with('.');
            if !is_name || url.set_host(Some(&plain)).is_err() {
                return Err(format!("{} is not the name of a host. Check its spelling.", shown(authority)));
            }
        }
        None => return refuse("The URL names no host. Enter one like https://example.com/webhooks."),
    }
    let port = url.port_or_known_default().unwrap_or_default();
    if !rules.ports.iter().any(|range| range.contains(&port)) {
        let ports: Vec<String> = rules.ports.iter().map(|range| span(*range.start(), *range.end())).collect();
        return Err(format!("Webhooks do not go to port {port}. Use one of {}.", ports.join(", ")));
    }
    match url.as_str().len() {
        length if length > LONGEST_URL => {
            Err(format!("The URL has {length} characters when it is sent. Use one of at most {LONGEST_URL}."))
        }
        _ => Ok(url),
    }
}

fn span(from: u16, to: u16) -> String {
    if from == to { from.to_string() } else { format!("{from}–{to}") }
}

/// As much of a value as fits into a sentence.
fn shown(text: &str) -> String {
    let mut start: String = text.chars().take(80).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(address: &str) -> String {
        check_address(address.parse().unwrap(), &WebhookRules::default()).map_or_else(|refused| refused.to_string(), |()| "public".into())
    }

    #[test]
    fn the_sentence_names_the_address_and_the_cure() {
        assert_eq!(said("10.0.4.17"), "10.0.4.17 is a private address. Use one that the internet can reach.");
        assert_eq!(
            said("::ffff:10.0.4.17"),
            "::ffff:10.0.4.17 carries 10.0.4.17 (IPv4-mapped), a private address. Use one that the internet can reach."
        );
        assert!(said("2001:0:4136:e378:8000:63bf:3fff:fdd2").contains("carries 192.0.2.45 (Teredo tunnel), an address for documentation."));
        assert!(said("64:ff9b::8.8.8.8").ends_with("carries 8.8.8.8 (NAT64). Use one that the internet can reach."));
    }

    #[test]
    fn of_a_name_the_sentence_tells_the_kind_and_not_the_address() {
        let behind = |address: &str| check_address(address.parse().unwrap(), &WebhookRules::default()).unwrap_err().behind("db.corp");
        assert_eq!(behind("10.0.4.17"), "db.corp leads to a private address. Use one that the internet can reach.");
        assert_eq!(
            behind("2001:0:4136:e378:8000:63bf:3fff:fdd2"),
            "db.corp leads to an IPv6 address that carries an IPv4 one (Teredo tunnel): an address for documentation. \
             Use one that the internet can reach."
        );
        assert!(behind("64:ff9b::8.8.8.8").contains("(NAT64): a public address. "));
    }

    #[test]
    fn ranges_end_where_they_end() {
        let public = [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:200::",
            "2001:db7:ffff::",
            "2001:db9::",
            "2003::",
            "2000::",
            "2606:4700:4700::1111",
            "3fff:1000::",
        ];
        for address in public {
            assert_eq!(said(address), "public", "{address}");
        }
        let refused = [
            "0.255.255.255",
            "10.255.255.255",
            "100.127.255.255",
            "127.255.255.255",
            "169.254.169.254",
            "172.31.255.255",
            "192.0.0.9",
            "192.88.99.1",
            "198.19.255.255",
            "224.0.0.0",
            "239.255.255.255",
            "240.0.0.0",
            "255.255.255.255",
            "::",
            "::2",
            "1::",
            "64:ff9a::",
            "64:ff9b:1:ffff::",
            "100::1",
            "2001:1ff:ffff::",
            "2002::",
            "3fff:fff::",
            "4000::",
            "5f00::1",
            "fdff::1",
            "febf::1",
            "feff::1",
            "ffff::1",
        ];
        for address in refused {
            assert_ne!(said(address), "public", "{address}");
        }
    }

    #[test]
    fn a_setting_opens_its_range_in_the_plain_spelling_and_never_the_second_tier() {
        let rules = WebhookRules {
            allow: ["127.0.0.0/8", "100.64.0.0/10", "fd00::/8", "169.254.0.0/16", "::/0"].map(|net| net.parse().unwrap()).into(),
            ..WebhookRules::default()
        };
        let open = |address: &str| check_address(address.parse().unwrap(), &rules).is_ok();
        assert!(["127.0.0.1", "127.255.0.9", "fd12::1", "::1"].into_iter().all(open));
        let shut = [
            "10.0.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "fd00:ec2::254",
            "fd20:ce::254",
            "169.254.169.254",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::127.0.0.1",
            "2002:7f00:1::",
            "fe80::1",
            "::",
        ];
        assert!(!shut.into_iter().any(open));
    }

    #[test]
    fn a_url_is_returned_as_it_is_sent() {
        let rules = WebhookRules::default();
        let sent = |text: &str| check_url(text, &rules).map(|url| url.to_string());
        assert_eq!(sent("HTTPS://Hooks.Example.COM.:443/a?b=c").unwrap(), "https://hooks.example.com/a?b=c");
        assert_eq!(sent("https://bücher.example/ä").unwrap(), "https://xn--bcher-kva.example/%C3%A4");
        assert_eq!(sent("https://8.8.8.8:8443").unwrap(), "https://8.8.8.8:8443/");
        assert_eq!(sent("https://[2606:4700:4700:0::1111]/").unwrap(), "https://[2606:4700:4700::1111]/");
        assert_eq!(sent("https://localhost/").unwrap(), "https://localhost/");
        assert!(sent(&format!("https://example.com/{}", "ä".repeat(600))).unwrap_err().contains("when it is sent"));
    }
}
