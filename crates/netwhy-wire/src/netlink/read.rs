//! Reading netlink bytes that somebody else wrote.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{ATTRIBUTE_HEADER, MESSAGE_HEADER, NLA_F_NESTED, NLA_F_NET_BYTEORDER, NLA_TYPE_MASK, align};

/// What is wrong with one attribute, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("netlink attribute {kind} at byte {offset}: {problem}")]
pub struct AttributeError {
    /// The attribute's type without flags; 0 if its header was cut.
    pub kind: u16,
    /// Where the attribute's header starts, counted from the start of the run of attributes it is in.
    pub offset: usize,
    /// What is wrong.
    pub problem: Problem,
}

/// The ways an attribute can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The header promises more bytes than there are.
    #[error("declares {declared} bytes, {available} are left")]
    Truncated {
        /// `nla_len`, header included.
        declared: usize,
        /// Bytes left from the header on.
        available: usize,
    },
    /// `nla_len` is smaller than the header it belongs to: no way to know where the next one starts.
    #[error("declares {declared} bytes, less than its own header")]
    TooShort {
        /// `nla_len`.
        declared: usize,
    },
    /// One to three bytes follow the last attribute.
    #[error("{bytes} stray bytes instead of a header")]
    Leftover {
        /// How many.
        bytes: usize,
    },
    /// The payload has not the length its type asks for.
    #[error("holds {got} bytes where {want} were expected")]
    Length {
        /// The bytes the caller's type has.
        want: usize,
        /// The bytes there are.
        got: usize,
    },
    /// The text is not UTF-8.
    #[error("is not UTF-8 text")]
    NotText,
}

/// A run of attributes. Yields each one, or one error where the run is broken, and then ends.
#[derive(Debug, Clone)]
pub struct Attributes<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Attributes<'a> {
    /// The attributes in `bytes`, which must start with one.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Attributes { rest: bytes, offset: 0 }
    }

    /// The attributes that follow a family header of `header` bytes in a message's payload.
    /// Empty if the payload ends before that.
    #[must_use]
    pub fn after(payload: &'a [u8], header: usize) -> Self {
        Attributes::new(payload.get(align(header)..).unwrap_or(&[]))
    }

    /// The first attribute of type `kind`, ignoring broken ones after it.
    #[must_use]
    pub fn find(self, kind: u16) -> Option<Attribute<'a>> {
        self.flatten().find(|attribute| attribute.kind == kind)
    }

    fn broken(&mut self, kind: u16, problem: Problem) -> AttributeError {
        self.rest = &[];
        AttributeError { kind, offset: self.offset, problem }
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, AttributeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let available = self.rest.len();
        if available == 0 {
            return None;
        }
        let Some((&[l0, l1, k0, k1], _)) = self.rest.split_first_chunk::<ATTRIBUTE_HEADER>() else {
            return Some(Err(self.broken(0, Problem::Leftover { bytes: available })));
        };
        let declared = usize::from(u16::from_ne_bytes([l0, l1]));
        let raw = u16::from_ne_bytes([k0, k1]);
        let kind = raw & NLA_TYPE_MASK;
        if declared < ATTRIBUTE_HEADER {
            return Some(Err(self.broken(kind, Problem::TooShort { declared })));
        }
        let Some(payload) = self.rest.get(ATTRIBUTE_HEADER..declared) else {
            return Some(Err(self.broken(kind, Problem::Truncated { declared, available })));
        };
        let attribute = Attribute {
            kind,
            nested: raw & NLA_F_NESTED != 0,
            net_byteorder: raw & NLA_F_NET_BYTEORDER != 0,
            offset: self.offset,
            payload,
        };
        // The last attribute of a run may come without its padding.
        let step = align(declared).min(available);
        self.rest = self.rest.get(step..).unwrap_or(&[]);
        self.offset += step;
        Some(Ok(attribute))
    }
}

impl std::iter::FusedIterator for Attributes<'_> {}

/// One attribute (`struct nlattr` and what follows it).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// The type, flags masked out.
    pub kind: u16,
    /// `NLA_F_NESTED` was set. Old families nest without saying so.
    pub nested: bool,
    /// `NLA_F_NET_BYTEORDER` was set. nfnetlink sends big endian without saying so.
    pub net_byteorder: bool,
    /// Where the header starts in its run.
    pub offset: usize,
    /// The bytes after the header, without padding.
    pub payload: &'a [u8],
}

macro_rules! integers {
    ($($name:ident: $type:ty = $from:ident, $text:literal;)*) => {$(
        #[doc = concat!("The payload as ", $text, "; an error if it has another length.")]
        pub fn $name(&self) -> Result<$type, AttributeError> {
            Ok(<$type>::$from(self.array()?))
        }
    )*};
}

impl<'a> Attribute<'a> {
    integers! {
        u8: u8 = from_ne_bytes, "one byte";
        u16: u16 = from_ne_bytes, "a number of 2 bytes in host order";
        u32: u32 = from_ne_bytes, "a number of 4 bytes in host order";
        u64: u64 = from_ne_bytes, "a number of 8 bytes in host order";
        i32: i32 = from_ne_bytes, "a signed number of 4 bytes in host order";
        i64: i64 = from_ne_bytes, "a signed number of 8 bytes in host order";
        be16: u16 = from_be_bytes, "a number of 2 bytes in network order";
        be32: u32 = from_be_bytes, "a number of 4 bytes in network order";
        be64: u64 = from_be_bytes, "a number of 8 bytes in network order";
    }

    /// The payload as an array; an error if it has another length.
    pub fn array<const N: usize>(&self) -> Result<[u8; N], AttributeError> {
        <[u8; N]>::try_from(self.payload)
            .map_err(|_| self.error(Problem::Length { want: N, got: self.payload.len() }))
    }

    /// A number in host order of whatever size the kernel chose (`nla_put_uint` sends 4 or 8 bytes).
    pub fn uint(&self) -> Result<u64, AttributeError> {
        match self.payload.len() {
            1 => self.u8().map(u64::from),
            2 => self.u16().map(u64::from),
            4 => self.u32().map(u64::from),
            _ => self.u64(),
        }
    }

    /// Text, up to its first NUL if it has one.
    pub fn str(&self) -> Result<&'a str, AttributeError> {
        std::str::from_utf8(self.until_nul()).map_err(|_| self.error(Problem::NotText))
    }

    /// Text, with what is not UTF-8 replaced: device names are bytes the user chose.
    #[must_use]
    pub fn text(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.until_nul())
    }

    /// An IPv4 or IPv6 address, told apart by its length.
    pub fn ip(&self) -> Result<IpAddr, AttributeError> {
        match self.payload.len() {
            4 => self.ipv4().map(IpAddr::V4),
            _ => self.ipv6().map(IpAddr::V6),
        }
    }

    /// An IPv4 address.
    pub fn ipv4(&self) -> Result<Ipv4Addr, AttributeError> {
        self.array::<4>().map(Ipv4Addr::from)
    }

    /// An IPv6 address.
    pub fn ipv6(&self) -> Result<Ipv6Addr, AttributeError> {
        self.array::<16>().map(Ipv6Addr::from)
    }

    /// The attributes inside this one.
    #[must_use]
    pub const fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.payload)
    }

    /// The payload as a kernel structure.
    #[must_use]
    pub const fn fixed(&self) -> Fixed<'a> {
        Fixed(self.payload)
    }

    fn until_nul(&self) -> &'a [u8] {
        self.payload.split(|&byte| byte == 0).next().unwrap_or(&[])
    }

    const fn error(&self, problem: Problem) -> AttributeError {
        AttributeError { kind: self.kind, offset: self.offset, problem }
    }
}

/// A kernel structure of fixed layout. A field beyond the end is `None`: an older kernel's structure
/// is shorter.
#[derive(Debug, Clone, Copy)]
pub struct Fixed<'a>(pub &'a [u8]);

macro_rules! fields {
    ($($name:ident: $type:ty = $from:ident, $text:literal;)*) => {$(
        #[doc = concat!("The ", $text, " at byte `offset`.")]
        #[must_use]
        pub fn $name(&self, offset: usize) -> Option<$type> {
            self.array(offset).map(<$type>::$from)
        }
    )*};
}

impl<'a> Fixed<'a> {
    fields! {
        u8: u8 = from_ne_bytes, "byte";
        u16: u16 = from_ne_bytes, "host-order 16-bit number";
        u32: u32 = from_ne_bytes, "host-order 32-bit number";
        u64: u64 = from_ne_bytes, "host-order 64-bit number";
        i32: i32 = from_ne_bytes, "host-order signed 32-bit number";
        i64: i64 = from_ne_bytes, "host-order signed 64-bit number";
        be16: u16 = from_be_bytes, "network-order 16-bit number";
        be32: u32 = from_be_bytes, "network-order 32-bit number";
        be64: u64 = from_be_bytes, "network-order 64-bit number";
    }

    /// `N` bytes at `offset`.
    #[must_use]
    pub fn array<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.bytes(offset, N)?.try_into().ok()
    }

    /// `length` bytes at `offset`.
    #[must_use]
    pub fn bytes(&self, offset: usize, length: usize) -> Option<&'a [u8]> {
        self.0.get(offset..offset.checked_add(length)?)
    }

    /// The NUL-terminated text in the `length` bytes at `offset` (`char name[IFNAMSIZ]`).
    #[must_use]
    pub fn text(&self, offset: usize, length: usize) -> Option<Cow<'a, str>> {
        let bytes = self.bytes(offset, length)?;
        Some(String::from_utf8_lossy(bytes.split(|&byte| byte == 0).next().unwrap_or(&[])))
    }
}

/// A datagram holds a message that does not fit in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("netlink message at byte {offset} declares {declared} bytes, {available} are left")]
pub struct MessageError {
    /// Where the message starts in the datagram.
    pub offset: usize,
    /// `nlmsg_len`; 0 if the header itself was cut.
    pub declared: usize,
    /// Bytes left from there on.
    pub available: usize,
}

/// One message (`struct nlmsghdr` and its payload).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// `nlmsg_type`.
    pub kind: u16,
    /// `nlmsg_flags`.
    pub flags: u16,
    /// `nlmsg_seq`.
    pub sequence: u32,
    /// `nlmsg_pid`: the port of the socket the message answers.
    pub port: u32,
    /// What follows the header.
    pub payload: &'a [u8],
}

/// The messages of one datagram.
#[derive(Debug, Clone)]
pub struct Messages<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Messages<'a> {
    /// The messages in `datagram`.
    #[must_use]
    pub const fn new(datagram: &'a [u8]) -> Self {
        Messages { rest: datagram, offset: 0 }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, MessageError>;

    fn next(&mut self) -> Option<Self::Item> {
        let available = self.rest.len();
        if available == 0 {
            return None;
        }
        let header = Fixed(self.rest);
        let declared = header.u32(0).unwrap_or(0) as usize;
        let body = self.rest.get(MESSAGE_HEADER..declared);
        let parts = (header.u16(4), header.u16(6), header.u32(8), header.u32(12), body);
        let (Some(kind), Some(flags), Some(sequence), Some(port), Some(payload)) = parts else {
            self.rest = &[];
            return Some(Err(MessageError { offset: self.offset, declared, available }));
        };
        let step = align(declared).min(available);
        self.rest = self.rest.get(step..).unwrap_or(&[]);
        self.offset += step;
        Some(Ok(Message { kind, flags, sequence, port, payload }))
    }
}

impl std::iter::FusedIterator for Messages<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(length: u16, kind: u16, payload: &[u8]) -> Vec<u8> {
        [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), payload].concat()
    }

    #[test]
    fn flags_are_masked_out_of_the_type() {
        let bytes = raw(8, 7 | NLA_F_NESTED | NLA_F_NET_BYTEORDER, &[0, 0, 1, 2]);
        let attribute = Attributes::new(&bytes).next().unwrap().unwrap();
        assert_eq!((attribute.kind, attribute.nested, attribute.net_byteorder), (7, true, true));
        assert_eq!(attribute.be32().unwrap(), 0x102);
    }

    #[test]
    fn a_cut_attribute_is_one_error_with_its_type_and_place() {
        let bytes = [raw(5, 1, &[9, 0, 0, 0]), raw(12, 33, &[1, 2])].concat();
        let items: Vec<_> = Attributes::new(&bytes).collect();
        assert_eq!(items.len(), 2);
        assert_eq!(items[0].as_ref().unwrap().u8().unwrap(), 9);
        let error = items[1].as_ref().unwrap_err();
        assert_eq!((error.kind, error.offset), (33, 8));
        assert_eq!(error.problem, Problem::Truncated { declared: 12, available: 6 });
        assert_eq!(error.to_string(), "netlink attribute 33 at byte 8: declares 12 bytes, 6 are left");
    }

    #[test]
    fn a_length_below_the_header_ends_the_run() {
        let bytes = [raw(3, 4, &[]), raw(4, 5, &[])].concat();
        let items: Vec<_> = Attributes::new(&bytes).collect();
        assert_eq!(items.len(), 1);
        assert_eq!(items[0].as_ref().unwrap_err().problem, Problem::TooShort { declared: 3 });
    }

    #[test]
    fn stray_bytes_are_reported() {
        let error = Attributes::new(&[1, 2]).next().unwrap().unwrap_err();
        assert_eq!(error.problem, Problem::Leftover { bytes: 2 });
    }

    #[test]
    fn the_last_attribute_needs_no_padding() {
        let bytes = raw(7, 3, b"lo\0");
        let items: Vec<_> = Attributes::new(&bytes).collect();
        assert_eq!(items.len(), 1);
        assert_eq!(items[0].as_ref().unwrap().str().unwrap(), "lo");
    }

    #[test]
    fn a_number_of_the_wrong_length_is_refused() {
        let bytes = raw(6, 9, &[1, 2, 0, 0]);
        let attribute = Attributes::new(&bytes).next().unwrap().unwrap();
        assert_eq!(attribute.u32().unwrap_err().problem, Problem::Length { want: 4, got: 2 });
        assert_eq!(attribute.uint().unwrap(), u64::from(u16::from_ne_bytes([1, 2])));
    }

    #[test]
    fn addresses_are_told_apart_by_length() {
        let four = raw(8, 1, &[192, 0, 2, 1]);
        let six = raw(20, 1, &Ipv6Addr::LOCALHOST.octets());
        let ip = |bytes: &[u8]| Attributes::new(bytes).next().unwrap().unwrap().ip();
        assert_eq!(ip(&four).unwrap().to_string(), "192.0.2.1");
        assert_eq!(ip(&six).unwrap().to_string(), "::1");
        assert!(ip(&raw(9, 1, &[0; 5])).is_err());
    }

    #[test]
    fn an_older_kernels_shorter_structure_has_absent_fields() {
        let fixed = Fixed(&[1, 0, 0, 0, b'l', b'o', 0, b'x']);
        assert_eq!(fixed.u8(0), Some(1));
        assert_eq!(fixed.u32(8), None);
        assert_eq!(fixed.u32(usize::MAX), None);
        assert_eq!(fixed.text(4, 4).unwrap(), "lo");
    }

    #[test]
    fn a_message_longer_than_its_datagram_is_an_error() {
        let mut bytes = vec![0; 20];
        bytes[..4].copy_from_slice(&24u32.to_ne_bytes());
        let error = Messages::new(&bytes).next().unwrap().unwrap_err();
        assert_eq!(error, MessageError { offset: 0, declared: 24, available: 20 });
        assert!(Messages::new(&bytes[..7]).next().unwrap().is_err());
    }
}
