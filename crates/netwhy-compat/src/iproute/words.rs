//! The words behind an object: `dev eth0 mtu 1400`, shortened or not.

use std::net::IpAddr;

use netwhy_facts::IpNet;

use super::WRONG;
use crate::session::ToolError;

/// What is left of a command line.
#[derive(Debug, Clone)]
pub(crate) struct Words<'a> {
    rest: &'a [String],
}

impl<'a> Words<'a> {
    pub(crate) const fn new(rest: &'a [String]) -> Self {
        Words { rest }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next word, if there is one.
    pub(crate) fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    /// The next word without taking it.
    pub(crate) fn peek(&self) -> Option<&'a str> {
        self.rest.first().map(String::as_str)
    }

    /// The value that has to follow.
    pub(crate) fn value(&mut self) -> Result<&'a str, ToolError> {
        self.next()
            .ok_or_else(|| ToolError::usage("Command line is not complete. Try option \"help\"", WRONG))
    }

    /// The rest.
    pub(crate) const fn rest(&self) -> &'a [String] {
        self.rest
    }
}

/// A wrong value, in iproute2's words.
pub(crate) fn wrong(word: &str, why: &str) -> ToolError {
    ToolError::usage(format!("Error: argument \"{word}\" is wrong: {why}\n"), WRONG)
}

/// A word nobody knows: iproute2 takes it for a second NAME.
pub(crate) fn garbage(name: &str, word: &str) -> ToolError {
    ToolError::usage(format!("Error: either \"{name}\" is duplicate, or \"{word}\" is a garbage."), WRONG)
}

/// Whether `word` is `full`, perhaps shortened.
pub(crate) fn matches(word: &str, full: &str) -> bool {
    !word.is_empty() && full.starts_with(word)
}

/// The first of a list that a word, perhaps shortened, stands for.
pub(crate) fn pick<'l>(word: &str, list: &[&'l str]) -> Option<&'l str> {
    list.iter()
        .copied()
        .find(|full| *full == word)
        .or_else(|| list.iter().copied().find(|full| matches(word, full)))
}

/// A number of a type.
pub(crate) fn number<T: TryFrom<u64>>(word: &str, what: &str) -> Result<T, ToolError> {
    let value = match word.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => word.parse().ok(),
    };
    value.and_then(|value| T::try_from(value).ok()).ok_or_else(|| wrong(word, what))
}

/// `on` or `off`.
pub(crate) fn on_off(name: &str, word: &str) -> Result<bool, ToolError> {
    match word {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(ToolError::usage(
            format!("Error: argument of \"{name}\" must be \"on\" or \"off\", not \"{word}\""),
            WRONG,
        )),
    }
}

/// A hardware address.
pub(crate) fn hardware(word: &str) -> Result<Vec<u8>, ToolError> {
    if let Ok(std::net::IpAddr::V4(address)) = word.parse() {
        return Ok(address.octets().to_vec());
    }
    let bytes: Option<Vec<u8>> = word.split(':').map(|part| u8::from_str_radix(part, 16).ok()).collect();
    bytes
        .filter(|bytes| bytes.len() > 1)
        .ok_or_else(|| ToolError::usage(format!("\"{word}\" is invalid lladdr."), WRONG))
}

/// An IPv4 address of one to four numbers: `10.1` is 10.1.0.0.
fn ipv4(word: &str) -> Option<[u8; 4]> {
    let mut bytes = [0; 4];
    let parts: Vec<&str> = word.split('.').collect();
    if parts.len() > 4 {
        return None;
    }
    for (place, part) in bytes.iter_mut().zip(&parts) {
        *place = part.parse().ok()?;
    }
    Some(bytes)
}

/// An address, `default`, `any` or `all` as zeroes of the family.
pub(crate) fn address(word: &str, family: u8) -> Result<IpAddr, ToolError> {
    let wrong = |family: u8| {
        let what = match family {
            super::AF_INET => "inet",
            super::AF_INET6 => "inet6",
            _ => "any valid",
        };
        ToolError::usage(format!("Error: {what} address is expected rather than \"{word}\"."), 1)
    };
    if matches!(word, "default" | "any" | "all") {
        return Ok(if family == super::AF_INET6 {
            IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED)
        } else {
            IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)
        });
    }
    let parsed = if word.contains(':') { word.parse().ok() } else { ipv4(word).map(IpAddr::from) };
    let found = parsed.ok_or_else(|| wrong(family))?;
    match (family, found) {
        (super::AF_INET, IpAddr::V6(_)) | (super::AF_INET6, IpAddr::V4(_)) => Err(wrong(family)),
        _ => Ok(found),
    }
}

/// A prefix: the address keeps its host part; the length may be a mask. `default` has length 0.
pub(crate) fn prefix(word: &str, family: u8) -> Result<(IpAddr, u8), ToolError> {
    let wrong = |family: u8| {
        let what = match family {
            super::AF_INET => "inet",
            super::AF_INET6 => "inet6",
            _ => "any valid",
        };
        ToolError::usage(format!("Error: {what} prefix is expected rather than \"{word}\"."), 1)
    };
    if matches!(word, "default" | "any" | "all") {
        return Ok((address(word, family)?, 0));
    }
    let (text, length) = match word.split_once('/') {
        Some((text, length)) => (text, Some(length)),
        None => (word, None),
    };
    let found = address(text, family).map_err(|_| wrong(family))?;
    let most = if found.is_ipv4() { 32 } else { 128 };
    let length = match length {
        None => most,
        Some(length) => match length.parse::<u8>() {
            Ok(length) if length <= most => length,
            _ => mask_length(length).ok_or_else(|| wrong(family))?,
        },
    };
    Ok((found, length))
}

fn mask_length(mask: &str) -> Option<u8> {
    let bits = u32::from_be_bytes(ipv4(mask).filter(|_| mask.contains('.'))?);
    let ones = bits.leading_ones();
    (bits.count_ones() == ones).then(|| u8::try_from(ones).unwrap_or(32))
}

/// Whether the first `length` bits of two addresses agree.
pub(crate) fn same_prefix(one: &IpAddr, other: &IpAddr, length: u8) -> bool {
    one.is_ipv4() == other.is_ipv4() && IpNet::new(*one, length).contains(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_read_as_iproute2_reads_them() {
        assert_eq!(prefix("10.1/16", 0).unwrap(), ("10.1.0.0".parse().unwrap(), 16));
        assert_eq!(prefix("10.1.2.3/255.255.0.0", 0).unwrap(), ("10.1.2.3".parse().unwrap(), 16));
        assert_eq!(prefix("2001:db8::1", 0).unwrap().1, 128);
        assert_eq!(prefix("default", 10).unwrap(), ("::".parse().unwrap(), 0));
        assert!(prefix("10.0.0.0/33", 0).is_err());
        assert!(prefix("::/0", 2).is_err());
    }

    #[test]
    fn words_may_be_shortened_and_the_first_that_fits_counts() {
        assert_eq!(pick("ro", &["address", "route", "rule"]), Some("route"));
        assert_eq!(pick("r", &["address", "route", "rule"]), Some("route"));
        assert_eq!(pick("x", &["address"]), None);
        assert_eq!(hardware("2:a:0:0:0:1").unwrap(), [2, 10, 0, 0, 0, 1]);
        assert!(hardware("02").is_err());
    }
}
