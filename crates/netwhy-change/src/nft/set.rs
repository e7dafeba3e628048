//! Sets and verdict maps.

use std::net::IpAddr;

use netwhy_sys::netlink::NLM_F_CREATE;
use netwhy_wire::netlink::Builder;

use super::{DELSETELEM, NEWSET, NEWSETELEM, Nft, NftWriter, Table, header};
use crate::words::ip;
use crate::{ChangeError, Result};

const FLAG_INTERVAL: u32 = 0x4;
const FLAG_MAP: u32 = 0x8;
const FLAG_CONCAT: u32 = 0x80;
const ELEMENT_INTERVAL_END: u32 = 0x1;
/// `NFT_DATA_VERDICT`.
const DATA_VERDICT: u32 = 0xffff_ff00;

/// One field of a set's key, and where a packet has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum KeyType {
    Ip4Source,
    Ip4Destination,
    Ip6Source,
    Ip6Destination,
    TcpPort,
    UdpPort,
}

impl KeyType {
    pub(super) const fn length(self) -> usize {
        match self {
            KeyType::Ip4Source | KeyType::Ip4Destination => 4,
            KeyType::Ip6Source | KeyType::Ip6Destination => 16,
            KeyType::TcpPort | KeyType::UdpPort => 2,
        }
    }

    /// The number `nft` stores to remember the type; the kernel only keeps it.
    const fn number(self) -> u32 {
        match self {
            KeyType::Ip4Source | KeyType::Ip4Destination => 7,
            KeyType::Ip6Source | KeyType::Ip6Destination => 8,
            KeyType::TcpPort | KeyType::UdpPort => 13,
        }
    }

    fn value(self, text: &str) -> Result<Vec<u8>> {
        match self {
            KeyType::TcpPort | KeyType::UdpPort => {
                let port: u16 =
                    text.parse().map_err(|_| ChangeError::Usage(format!("{text} is not a port")))?;
                Ok(port.to_be_bytes().to_vec())
            }
            _ => match ip(text)? {
                IpAddr::V4(address) => Ok(address.octets().to_vec()),
                IpAddr::V6(address) => Ok(address.octets().to_vec()),
            },
        }
    }
}

/// What a rule or a map's element decides.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of nft")]
pub enum Verdict {
    Accept,
    Drop,
    Return,
    Jump(String),
}

impl Verdict {
    /// Writes `NFTA_DATA_VERDICT`.
    pub(super) fn write(&self, data: &mut Builder) {
        let (code, chain) = match self {
            Verdict::Drop => (0, None),
            Verdict::Accept => (1, None),
            Verdict::Jump(chain) => (-3, Some(chain)),
            Verdict::Return => (-5_i32, None),
        };
        data.nest(2, |inside| {
            inside.bytes(1, &code.to_be_bytes());
            if let Some(chain) = chain {
                inside.str(2, chain);
            }
        });
    }
}

/// An element: one value for each field, an end of the interval, a verdict in a map.
#[derive(Debug, Clone)]
pub struct Element {
    fields: Vec<String>,
    /// One past the last, for an interval of a single field.
    end: Option<String>,
    verdict: Option<Verdict>,
}

impl Element {
    /// A value, or several joined by ` . `.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let fields = text.split(" . ").map(str::to_owned).collect();
        Element { fields, end: None, verdict: None }
    }

    /// From `first` up to but not including `end`.
    #[must_use]
    pub fn interval(first: &str, end: &str) -> Self {
        Element { end: Some(end.to_owned()), ..Element::new(first) }
    }

    /// What a verdict map decides for it.
    #[must_use]
    pub fn verdict(mut self, verdict: Verdict) -> Self {
        self.verdict = Some(verdict);
        self
    }

    fn key(&self, keys: &[KeyType]) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for (key, text) in keys.iter().zip(&self.fields) {
            bytes.extend(key.value(text)?);
            if keys.len() > 1 {
                bytes.resize(bytes.len().next_multiple_of(4), 0);
            }
        }
        Ok(bytes)
    }

    fn write(&self, keys: &[KeyType], list: &mut Builder) -> Result<()> {
        let key = self.key(keys)?;
        list.nest(1, |element| {
            element.nest(1, |inside| {
                inside.bytes(1, &key);
            });
            if let Some(verdict) = &self.verdict {
                element.nest(2, |data| verdict.write(data));
            }
        });
        if let (Some(end), [only]) = (&self.end, keys) {
            let end = only.value(end)?;
            list.nest(1, |element| {
                element.nest(1, |inside| {
                    inside.bytes(1, &end);
                });
                element.be32(3, ELEMENT_INTERVAL_END);
            });
        }
        Ok(())
    }
}

/// A message that adds or removes elements.
fn elements(table: Table, name: &str, set: &str, keys: &[KeyType], list: &[Element]) -> Result<Builder> {
    let mut inner = Builder::new();
    for element in list {
        element.write(keys, &mut inner)?;
    }
    let inner = inner.finish()?;
    let mut message = header(table);
    message.str(1, name).str(2, set);
    let nest = message.begin(3);
    message.raw(&inner);
    message.end(nest);
    Ok(message)
}

impl Nft {
    /// A named set, or a verdict map if its elements have verdicts.
    #[must_use]
    pub fn set(mut self, set: &str, keys: &[KeyType], list: &[Element]) -> Self {
        let mut flags = 0;
        if list.iter().any(|element| element.end.is_some()) {
            flags |= FLAG_INTERVAL;
        }
        let map = list.iter().any(|element| element.verdict.is_some());
        if map {
            flags |= FLAG_MAP;
        }
        let padded = |key: &KeyType| {
            if keys.len() > 1 { key.length().next_multiple_of(4) } else { key.length() }
        };
        let length = u32::try_from(keys.iter().map(padded).sum::<usize>()).unwrap_or(0);
        if keys.len() > 1 && flags & FLAG_INTERVAL != 0 {
            flags |= FLAG_CONCAT;
        }
        self.set_id += 1;
        let mut message = header(self.table);
        message.str(1, &self.name).str(2, set).be32(3, flags);
        // Types of a concatenation are joined six bits each.
        message.be32(4, keys.iter().fold(0, |sum, key| (sum << 6) | key.number())).be32(5, length);
        if map {
            message.be32(6, DATA_VERDICT).be32(7, 0);
        }
        message.be32(10, self.set_id);
        self.push(NEWSET, NLM_F_CREATE, message);
        if !list.is_empty() {
            match elements(self.table, &self.name, set, keys, list) {
                Ok(mut message) => {
                    message.be32(4, self.set_id);
                    self.push(NEWSETELEM, NLM_F_CREATE, message);
                }
                Err(error) => self.error = Some(error),
            }
        }
        self
    }
}

impl NftWriter<'_> {
    /// Removes elements of a set.
    pub fn delete_elements(
        &mut self,
        table: Table,
        name: &str,
        set: &str,
        keys: &[KeyType],
        list: &[Element],
    ) -> Result<()> {
        let message = elements(table, name, set, keys, list)?;
        self.order(DELSETELEM, 0, message)
    }
}
