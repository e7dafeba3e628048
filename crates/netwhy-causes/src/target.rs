//! Reads a TARGET: `HOST:PORT`, a URL, a bare host, `tcp://`, `udp://`, `tls://`, `icmp://`, `[v6]:PORT`, `:PORT`.

use std::net::IpAddr;

use netwhy_facts::question::{App, Target};
use netwhy_facts::{Proto, Role};

/// Why a target could not be read: the field and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Nothing was given.
    #[error("the target is empty; give HOST:PORT, a URL, or an address")]
    Empty,
    /// The scheme is not known.
    #[error("scheme {0:?} is not known; use tcp, udp, tls, icmp, http, https or dns")]
    Scheme(String),
    /// The port is not a number from 1 to 65535 or a known service name.
    #[error("port {0:?} is not a number from 1 to 65535")]
    Port(String),
    /// A port is needed and was not given.
    #[error("{0} needs a port: write {1}:PORT")]
    NoPort(&'static str, String),
    /// `[` without `]`, or text after it that is no port.
    #[error("brackets at byte {0} are not closed or are followed by something other than :PORT")]
    Brackets(usize),
    /// A host name that cannot be one.
    #[error("host {0:?} is not valid: {1}")]
    Host(String, String),
    /// `:PORT` only makes sense on the server.
    #[error("target {0:?} names no host; that is for --inbound")]
    NoHost(String),
}

/// Reads a target for a role.
pub fn parse(text: &str, role: Role) -> Result<Target, TargetError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(TargetError::Empty);
    }
    let (scheme, rest) = match text.split_once("://") {
        Some((s, r)) => (Some(s.to_ascii_lowercase()), r),
        None => (None, text),
    };
    let (proto, app, default_port) = match scheme.as_deref() {
        None => (Proto::Tcp, App::None, None),
        Some("tcp") => (Proto::Tcp, App::None, None),
        Some("udp") => (Proto::Udp, App::None, None),
        Some("tls") => (Proto::Tcp, App::Tls, Some(443)),
        Some("icmp" | "ping") => (Proto::Icmp, App::None, Some(0)),
        Some("http") => (Proto::Tcp, App::Http, Some(80)),
        Some("https") => (Proto::Tcp, App::Https, Some(443)),
        Some("dns") => (Proto::Udp, App::Dns, Some(53)),
        Some(other) => return Err(TargetError::Scheme(other.to_string())),
    };
    let is_url = matches!(app, App::Http | App::Https);
    let (authority, path) = match rest.find(['/', '?', '#']) {
        Some(at) if scheme.is_some() => {
            let (a, p) = rest.split_at(at);
            let p = p.split('#').next().unwrap_or("");
            (a, if p.starts_with('/') { p.to_string() } else { format!("/{p}") })
        }
        _ => (rest, "/".to_string()),
    };
    // User information of a URL is neither needed nor kept.
    let authority = if is_url { authority.rsplit('@').next().unwrap_or(authority) } else { authority };
    let (host, port_text) = split_port(authority, text)?;
    let port = match (port_text, default_port) {
        (Some(p), _) => Some(parse_port(p)?),
        (None, d) => d,
    };
    if host.is_empty() {
        if role == Role::Client || port.is_none() {
            return Err(TargetError::NoHost(text.to_string()));
        }
        return Ok(Target {
            host: String::new(),
            literal: None,
            zone: None,
            port: port.unwrap_or(0),
            proto,
            app,
            path,
        });
    }
    let (bare, zone) = match host.split_once('%') {
        Some((h, z)) => (h, Some(z.to_string())),
        None => (host, None),
    };
    let literal: Option<IpAddr> = bare.parse().ok();
    if literal.is_none() {
        check_host(bare)?;
        if zone.is_some() {
            return Err(TargetError::Host(host.to_string(), "a zone (%) belongs to an IPv6 literal".into()));
        }
    }
    let (proto, port) = match (proto, port) {
        // A bare host asks whether the host answers at all.
        (Proto::Tcp, None) if scheme.is_none() => (Proto::Icmp, 0),
        (Proto::Icmp, _) => (Proto::Icmp, 0),
        (p, Some(port)) => (p, port),
        (p, None) => return Err(TargetError::NoPort(p.name(), bare.to_string())),
    };
    Ok(Target { host: bare.to_string(), literal, zone, port, proto, app, path })
}

fn split_port<'a>(authority: &'a str, whole: &str) -> Result<(&'a str, Option<&'a str>), TargetError> {
    if let Some(rest) = authority.strip_prefix('[') {
        let at = whole.find('[').unwrap_or(0);
        let (host, tail) = rest.split_once(']').ok_or(TargetError::Brackets(at))?;
        if host.split('%').next().is_none_or(|h| h.parse::<std::net::Ipv6Addr>().is_err()) {
            return Err(TargetError::Host(host.to_string(), "brackets are for IPv6 addresses".into()));
        }
        return match tail.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if tail.is_empty() => Ok((host, None)),
            None => Err(TargetError::Brackets(at)),
        };
    }
    // An IPv6 literal without brackets has several colons and no port.
    if authority.matches(':').count() > 1 {
        return Ok((authority, None));
    }
    match authority.split_once(':') {
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((authority, None)),
    }
}

fn parse_port(text: &str) -> Result<u16, TargetError> {
    // `+80` and ` 80` parse as numbers elsewhere; a port is digits only.
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(TargetError::Port(text.to_string()));
    }
    match text.parse::<u16>() {
        Ok(0) | Err(_) => Err(TargetError::Port(text.to_string())),
        Ok(port) => Ok(port),
    }
}

fn check_host(host: &str) -> Result<(), TargetError> {
    let bad = |why: &str| Err(TargetError::Host(host.to_string(), why.to_string()));
    if host.matches(':').count() > 1 {
        return bad("not an IPv6 address");
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    if name.is_empty() {
        return bad("an empty name");
    }
    if name.len() > 253 {
        return bad("longer than 253 bytes (RFC 1035 section 2.3.4)");
    }
    for label in name.split('.') {
        if label.is_empty() {
            return bad("an empty label (two dots in a row)");
        }
        if label.len() > 63 {
            return bad("a label longer than 63 bytes (RFC 1035 section 2.3.4)");
        }
    }
    if let Some(c) = name.chars().find(|c| c.is_control() || c.is_whitespace() || "/@\\\"'<>[]".contains(*c))
    {
        return bad(&format!("character {:?} cannot stand in a host name", c.escape_default().to_string()));
    }
    if name.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return bad("not an IPv4 address");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(text: &str) -> Target {
        parse(text, Role::Client).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn the_usual_spellings_are_read() {
        let t = ok("db.internal:5432");
        assert_eq!((t.host.as_str(), t.port, t.proto), ("db.internal", 5432, Proto::Tcp));
        let t = ok("[2001:db8::1]:443");
        assert_eq!((t.literal.unwrap().to_string().as_str(), t.port), ("2001:db8::1", 443));
        let t = ok("2001:db8::1");
        assert_eq!((t.proto, t.port), (Proto::Icmp, 0));
        let t = ok("https://user:pw@example.test/a/b?c#d");
        assert_eq!(
            (t.host.as_str(), t.port, t.app, t.path.as_str()),
            ("example.test", 443, App::Https, "/a/b?c")
        );
        assert_eq!(ok("http://example.test:8080").port, 8080);
        assert_eq!(ok("udp://203.0.113.2:53").proto, Proto::Udp);
        assert_eq!(ok("icmp://203.0.113.2").proto, Proto::Icmp);
        assert_eq!(ok("example.test").proto, Proto::Icmp);
        assert_eq!(ok("[fe80::1%eth0]:22").zone.as_deref(), Some("eth0"));
        assert_eq!(parse(":8080", Role::Inbound).unwrap().port, 8080);
    }

    #[test]
    fn bad_input_names_the_field() {
        let err = |text: &str| parse(text, Role::Client).unwrap_err().to_string();
        assert!(err("db:0").contains("port \"0\""));
        assert!(err("db:65536").contains("port \"65536\""));
        assert!(err("db:+80").contains("port \"+80\""));
        assert!(err("db:").contains("port \"\""));
        assert!(err("").contains("empty"));
        assert!(err("gopher://x:1").contains("gopher"));
        assert!(err("[2001:db8::1:443").contains("byte 0"));
        assert!(err("[2001:db8::1]443").contains("brackets"));
        assert!(err("a..b:1").contains("empty label"));
        assert!(err("a\u{1b}[31mb:1").contains("character"));
        assert!(err("300.1.2.3:1").contains("IPv4"));
        assert!(err("1:2:3:x").contains("IPv6"));
        assert!(err(":8080").contains("--inbound"));
        assert!(err("tcp://db").contains("needs a port"));
        assert!(err(&format!("{}:1", "a".repeat(64))).contains("63"));
    }
}
