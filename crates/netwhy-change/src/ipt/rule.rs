//! One legacy rule: its head, matches and target.

use std::net::IpAddr;

use netwhy_facts::IpNet;
use netwhy_sys::xtables::Family;

use super::{Entry, entry_size};
use crate::words::{ip, prefix};
use crate::{ChangeError, Result};

/// Verdicts of the standard target: `-NF_x - 1`.
pub(super) const DROP: i32 = -1;
pub(super) const ACCEPT: i32 = -2;
pub(super) const RETURN: i32 = -5;

/// What a rule does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// ACCEPT
    Accept,
    /// DROP
    Drop,
    /// RETURN
    Return,
    /// Another chain.
    Jump(String),
    /// REJECT with a number of `--reject-with`: IPv4 3 is port unreachable, 7 a TCP reset, 8 administratively
    /// prohibited; IPv6 4 is port unreachable, 6 a TCP reset.
    Reject(u32),
    /// DNAT to an address and perhaps a port (IPv4).
    Dnat(String, Option<u16>),
    /// SNAT to an address (IPv4).
    Snat(String),
    /// MASQUERADE (IPv4).
    Masquerade,
    /// NOTRACK, in table raw.
    Notrack,
}

/// A rule being written.
#[derive(Debug, Clone)]
pub struct IptRule {
    source: Option<IpNet>,
    destination: Option<IpNet>,
    iif: Option<String>,
    oif: Option<String>,
    proto: u8,
    dport: Option<(u16, u16)>,
    sport: Option<(u16, u16)>,
    state: Option<u32>,
    comment: Option<String>,
    target: Target,
}

/// Bytes of a match or target: size, name, revision, data, filled up to a multiple of eight.
fn extension(name: &str, data: &[u8]) -> Vec<u8> {
    let size = (32 + data.len()).next_multiple_of(8);
    let mut bytes = vec![0; 32];
    bytes[..2].copy_from_slice(&u16::try_from(size).unwrap_or(0).to_ne_bytes());
    for (place, byte) in bytes[2..31].iter_mut().zip(name.bytes()) {
        *place = byte;
    }
    bytes.extend_from_slice(data);
    bytes.resize(size, 0);
    bytes
}

/// The match `conntrack` on the state alone: `struct xt_conntrack_mtinfo3`.
fn conntrack(states: u32) -> Vec<u8> {
    const REVISION: usize = 31;
    // Eight addresses of 16 bytes, two times, a protocol and four ports come before these.
    const MATCH_FLAGS: usize = 146;
    const STATE_MASK: usize = 150;
    let mut data = vec![0; 164];
    let states = u16::try_from(states).unwrap_or(0);
    data[MATCH_FLAGS..MATCH_FLAGS + 2].copy_from_slice(&1_u16.to_ne_bytes());
    data[STATE_MASK..STATE_MASK + 2].copy_from_slice(&states.to_ne_bytes());
    let mut bytes = extension("conntrack", &data);
    bytes[REVISION] = 3;
    bytes
}

/// `struct xt_standard_target`.
pub(super) fn standard(verdict: i32) -> Vec<u8> {
    extension("", &verdict.to_ne_bytes())
}

/// `struct xt_error_target`: the head of a chain, or the end of the table.
pub(super) fn error(name: &str) -> Vec<u8> {
    let mut data = name.as_bytes().to_vec();
    data.resize(30, 0);
    extension("ERROR", &data)
}

impl IptRule {
    /// A rule that matches everything.
    #[must_use]
    pub const fn new(target: Target) -> Self {
        IptRule {
            source: None,
            destination: None,
            iif: None,
            oif: None,
            proto: 0,
            dport: None,
            sport: None,
            state: None,
            comment: None,
            target,
        }
    }

    /// Does something else instead.
    #[must_use]
    pub fn to(mut self, target: Target) -> Self {
        self.target = target;
        self
    }

    /// What it does.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// `-s`
    pub fn source(mut self, text: &str) -> Result<Self> {
        self.source = Some(prefix(text)?);
        Ok(self)
    }

    /// `-d`
    pub fn destination(mut self, text: &str) -> Result<Self> {
        self.destination = Some(prefix(text)?);
        Ok(self)
    }

    /// `-i`
    #[must_use]
    pub fn iif(mut self, name: &str) -> Self {
        self.iif = Some(name.to_owned());
        self
    }

    /// `-o`
    #[must_use]
    pub fn oif(mut self, name: &str) -> Self {
        self.oif = Some(name.to_owned());
        self
    }

    /// `-p`, by number.
    #[must_use]
    pub const fn proto(mut self, number: u8) -> Self {
        self.proto = number;
        self
    }

    /// `-p tcp --dport`
    #[must_use]
    pub const fn tcp_dport(mut self, port: u16) -> Self {
        self.proto = 6;
        self.dport = Some((port, port));
        self
    }

    /// `-p udp --dport`
    #[must_use]
    pub const fn udp_dport(mut self, port: u16) -> Self {
        self.proto = 17;
        self.dport = Some((port, port));
        self
    }

    /// `--dport` for the protocol already said.
    #[must_use]
    pub const fn dport(mut self, low: u16, high: u16) -> Self {
        self.dport = Some((low, high));
        self
    }

    /// `--sport` for the protocol already said.
    #[must_use]
    pub const fn sport(mut self, low: u16, high: u16) -> Self {
        self.sport = Some((low, high));
        self
    }

    /// `-m conntrack --ctstate`: 1 invalid, 2 established, 4 related, 8 new.
    #[must_use]
    pub const fn state(mut self, bits: u32) -> Self {
        self.state = Some(bits);
        self
    }

    /// `-m comment --comment`, at most 255 bytes.
    #[must_use]
    pub fn comment(mut self, text: &str) -> Self {
        self.comment = Some(text.to_owned());
        self
    }

    pub(super) fn entry(&self, family: Family) -> Result<Entry> {
        let mut matches = Vec::new();
        if self.dport.is_some() || self.sport.is_some() {
            let any = (0, u16::MAX);
            let (sport, dport) = (self.sport.unwrap_or(any), self.dport.unwrap_or(any));
            let mut data: Vec<u8> =
                [sport.0, sport.1, dport.0, dport.1].iter().flat_map(|port| port.to_ne_bytes()).collect();
            // struct xt_tcp: option, flag mask, flag comparison, inversions; struct xt_udp: inversions.
            match self.proto {
                6 => data.resize(12, 0),
                17 => data.resize(10, 0),
                other => return Err(ChangeError::Usage(format!("protocol {other} has no ports"))),
            }
            matches.extend(extension(if self.proto == 6 { "tcp" } else { "udp" }, &data));
        }
        if let Some(bits) = self.state {
            matches.extend(conntrack(bits));
        }
        if let Some(text) = &self.comment {
            // struct xt_comment_info: 256 bytes that end with a zero.
            let mut data: Vec<u8> = text.bytes().filter(|byte| *byte != 0).take(255).collect();
            data.resize(256, 0);
            matches.extend(extension("comment", &data));
        }
        Ok(Entry::new(family, &self.head(family)?, &matches, &self.target_bytes()?))
    }

    /// `struct ipt_ip` or `struct ip6t_ip6`.
    fn head(&self, family: Family) -> Result<Vec<u8>> {
        let width = if family == Family::Ipv6 { 16 } else { 4 };
        let mut bytes = vec![0; entry_size(family)];
        let mut put = |at: usize, value: &[u8]| {
            if let Some(place) = bytes.get_mut(at..at + value.len()) {
                place.copy_from_slice(value);
            }
        };
        for (index, net) in [self.source, self.destination].into_iter().enumerate() {
            let Some(net) = net else { continue };
            let address = match net.addr {
                IpAddr::V4(address) => address.octets().to_vec(),
                IpAddr::V6(address) => address.octets().to_vec(),
            };
            if address.len() != width {
                return Err(ChangeError::Usage(format!("{net} is of the other family")));
            }
            let mask: Vec<u8> = (0..width)
                .map(|byte| {
                    (0xff00_u32 >> usize::from(net.len).saturating_sub(byte * 8).min(8)).to_le_bytes()[0]
                })
                .collect();
            put(index * width, &address);
            put((index + 2) * width, &mask);
        }
        for (index, name) in [&self.iif, &self.oif].into_iter().enumerate() {
            let Some(name) = name else { continue };
            let name = name.as_bytes().get(..15.min(name.len())).unwrap_or(&[]);
            put(4 * width + index * 16, name);
            // The mask covers the name and its end.
            put(4 * width + 32 + index * 16, &vec![0xff; name.len() + 1]);
        }
        let at = 4 * width + 64;
        put(at, &u16::from(self.proto).to_ne_bytes());
        if family == Family::Ipv6 && self.proto != 0 {
            // IP6T_F_PROTO, behind the traffic class.
            put(at + 3, &[1]);
        }
        Ok(bytes)
    }

    fn target_bytes(&self) -> Result<Vec<u8>> {
        Ok(match &self.target {
            Target::Accept => standard(ACCEPT),
            Target::Drop => standard(DROP),
            Target::Return => standard(RETURN),
            // The offset is filled in when the table is put together.
            Target::Jump(_) => standard(0),
            Target::Reject(with) => extension("REJECT", &with.to_ne_bytes()),
            Target::Notrack => extension("NOTRACK", &[]),
            Target::Dnat(address, port) => dnat(address, *port)?,
            Target::Snat(address) => extension("SNAT", &range(address)?),
            Target::Masquerade => extension("MASQUERADE", &[&1_u32.to_ne_bytes()[..], &[0; 16]].concat()),
        })
    }
}

/// `NF_NAT_RANGE_MAP_IPS` and `NF_NAT_RANGE_PROTO_SPECIFIED`.
const MAP_ADDRESS: u32 = 1;
const MAP_PORT: u32 = 2;

fn four(text: &str) -> Result<[u8; 4]> {
    match ip(text)? {
        IpAddr::V4(address) => Ok(address.octets()),
        IpAddr::V6(address) => Err(ChangeError::Usage(format!("{address} is not IPv4"))),
    }
}

/// DNAT of revision 2: `struct nf_nat_range2`, addresses in 16 bytes each, then ports.
fn dnat(address: &str, port: Option<u16>) -> Result<Vec<u8>> {
    const REVISION: usize = 31;
    let mut address = four(address)?.to_vec();
    address.resize(16, 0);
    let flags = if port.is_some() { MAP_ADDRESS | MAP_PORT } else { MAP_ADDRESS };
    let port = port.unwrap_or(0).to_be_bytes();
    let parts = [&flags.to_ne_bytes()[..], &address, &address, &port, &port, &[0; 4]];
    let mut bytes = extension("DNAT", &parts.concat());
    bytes[REVISION] = 2;
    Ok(bytes)
}

/// `struct nf_nat_ipv4_multi_range_compat` with one range of one address.
fn range(address: &str) -> Result<Vec<u8>> {
    let address = four(address)?;
    let parts = [&1_u32.to_ne_bytes()[..], &MAP_ADDRESS.to_ne_bytes(), &address, &address, &[0; 4]];
    Ok(parts.concat())
}
