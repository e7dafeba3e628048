//! Writing netlink payloads: a family header and attributes, aligned and nested.

use std::net::IpAddr;

use super::{NLA_F_NESTED, align};

/// An attribute grew beyond the 65,535 bytes that `nla_len` can express.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("netlink attribute {kind} would be {length} bytes long, more than 65535")]
pub struct TooLong {
    /// The attribute's type.
    pub kind: u16,
    /// Its length with the header.
    pub length: usize,
}

/// An attribute that is still open; give it back to [`Builder::end`].
#[derive(Debug)]
#[must_use = "an open attribute has no length until it is ended"]
pub struct Nest {
    start: usize,
    kind: u16,
}

/// Collects a message's payload: first the family header, then attributes.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    bytes: Vec<u8>,
    too_long: Option<TooLong>,
}

macro_rules! integers {
    ($($name:ident: $type:ty = $to:ident, $text:literal;)*) => {$(
        #[doc = concat!("An attribute holding ", $text, ".")]
        pub fn $name(&mut self, kind: u16, value: $type) -> &mut Self {
            self.bytes(kind, &value.$to())
        }
    )*};
}

impl Builder {
    /// An empty payload, or a run of attributes without a family header.
    #[must_use]
    pub fn new() -> Self {
        Builder::default()
    }

    /// A payload that starts with a family header such as `struct ifinfomsg`.
    #[must_use]
    pub fn with_header(header: &[u8]) -> Self {
        let mut builder = Builder { bytes: header.to_vec(), too_long: None };
        builder.pad();
        builder
    }

    integers! {
        u8: u8 = to_ne_bytes, "one byte";
        u16: u16 = to_ne_bytes, "a 16-bit number in host order";
        u32: u32 = to_ne_bytes, "a 32-bit number in host order";
        u64: u64 = to_ne_bytes, "a 64-bit number in host order";
        i32: i32 = to_ne_bytes, "a signed 32-bit number in host order";
        be16: u16 = to_be_bytes, "a 16-bit number in network order";
        be32: u32 = to_be_bytes, "a 32-bit number in network order";
        be64: u64 = to_be_bytes, "a 64-bit number in network order";
    }

    /// An attribute without payload, whose presence is its meaning.
    pub fn flag(&mut self, kind: u16) -> &mut Self {
        self.bytes(kind, &[])
    }

    /// An attribute holding text and the NUL most families ask for.
    pub fn str(&mut self, kind: u16, text: &str) -> &mut Self {
        let nest = self.begin_plain(kind);
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
        self.end(nest)
    }

    /// An attribute holding an address of 4 or 16 bytes.
    pub fn ip(&mut self, kind: u16, address: IpAddr) -> &mut Self {
        match address {
            IpAddr::V4(four) => self.bytes(kind, &four.octets()),
            IpAddr::V6(six) => self.bytes(kind, &six.octets()),
        }
    }

    /// An attribute holding bytes as they are.
    pub fn bytes(&mut self, kind: u16, payload: &[u8]) -> &mut Self {
        let nest = self.begin_plain(kind);
        self.bytes.extend_from_slice(payload);
        self.end(nest)
    }

    /// An attribute whose attributes `inside` writes, marked `NLA_F_NESTED`.
    pub fn nest(&mut self, kind: u16, inside: impl FnOnce(&mut Builder)) -> &mut Self {
        let nest = self.begin(kind);
        inside(self);
        self.end(nest)
    }

    /// Opens a nested attribute, marked `NLA_F_NESTED`.
    pub fn begin(&mut self, kind: u16) -> Nest {
        self.begin_plain(kind | NLA_F_NESTED)
    }

    /// Opens an attribute without the nested mark: for old families that refuse it, and for plain bytes.
    pub fn begin_plain(&mut self, kind: u16) -> Nest {
        self.pad();
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0, 0]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        Nest { start, kind }
    }

    /// Closes an attribute: what was written since belongs to it.
    pub fn end(&mut self, nest: Nest) -> &mut Self {
        let length = self.bytes.len().saturating_sub(nest.start);
        match (u16::try_from(length), self.bytes.get_mut(nest.start..nest.start + 2)) {
            (Ok(short), Some(place)) => place.copy_from_slice(&short.to_ne_bytes()),
            _ => {
                let kind = nest.kind & super::NLA_TYPE_MASK;
                self.too_long.get_or_insert(TooLong { kind, length });
            }
        }
        self.pad();
        self
    }

    /// Bytes as they are, inside an open attribute that starts with a structure.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Nothing was written yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The payload, unless an attribute became too long.
    pub fn finish(self) -> Result<Vec<u8>, TooLong> {
        match self.too_long {
            None => Ok(self.bytes),
            Some(error) => Err(error),
        }
    }

    fn pad(&mut self) {
        self.bytes.resize(align(self.bytes.len()), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ATTRIBUTE_HEADER, Attributes};
    use super::*;

    #[test]
    fn what_is_built_is_read_back() {
        let mut builder = Builder::with_header(&[2, 0, 0, 0, 0]);
        builder.str(1, "eth0").u32(2, 7).nest(3, |inner| {
            inner.u8(1, 9).be16(2, 443).nest(4, |deeper| {
                deeper.ip(5, "2001:db8::1".parse().unwrap()).flag(6);
            });
        });
        let bytes = builder.finish().unwrap();
        assert_eq!(&bytes[..8], &[2, 0, 0, 0, 0, 0, 0, 0]);
        let mut outer = Attributes::after(&bytes, 5).map(Result::unwrap);
        assert_eq!(outer.next().unwrap().str().unwrap(), "eth0");
        assert_eq!(outer.next().unwrap().u32().unwrap(), 7);
        let nested = outer.next().unwrap();
        assert!(nested.nested && outer.next().is_none());
        assert_eq!(nested.attributes().find(2).unwrap().be16().unwrap(), 443);
        let deeper = nested.attributes().find(4).unwrap();
        assert_eq!(deeper.attributes().find(5).unwrap().ip().unwrap().to_string(), "2001:db8::1");
        assert!(deeper.attributes().find(6).unwrap().payload.is_empty());
    }

    #[test]
    fn every_attribute_starts_aligned() {
        let mut builder = Builder::new();
        for length in 0..9 {
            let before = builder.len();
            builder.bytes(1, &vec![0xff; length]);
            assert_eq!(builder.len() - before, align(ATTRIBUTE_HEADER + length));
        }
    }

    #[test]
    fn an_attribute_beyond_64_kib_is_refused_by_name() {
        let mut builder = Builder::new();
        builder.nest(12, |inner| {
            inner.bytes(1, &vec![0; 40_000]).bytes(2, &vec![0; 40_000]);
        });
        assert_eq!(builder.finish().unwrap_err(), TooLong { kind: 12, length: 80_012 });
    }
}
