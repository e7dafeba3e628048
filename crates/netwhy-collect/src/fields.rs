//! The attributes of one nfnetlink nest by number. nfnetlink keeps its numbers in network order.

use std::borrow::Cow;

use netwhy_wire::netlink::Attributes;

/// More than any nest here has.
const SLOTS: usize = 32;

/// Attributes by type; of a repeated type the last counts, as in the kernel's own parser.
pub(crate) struct Fields<'a> {
    slots: [Option<&'a [u8]>; SLOTS],
    highest: u16,
    broken: bool,
}

impl<'a> Fields<'a> {
    /// The attributes in `nest`, up to the first that is broken.
    pub(crate) fn of(nest: &'a [u8]) -> Self {
        let mut fields = Fields { slots: [None; SLOTS], highest: 0, broken: false };
        for attribute in Attributes::new(nest) {
            let Ok(attribute) = attribute else {
                fields.broken = true;
                break;
            };
            fields.highest = fields.highest.max(attribute.kind);
            if let Some(slot) = fields.slots.get_mut(usize::from(attribute.kind)) {
                *slot = Some(attribute.payload);
            }
        }
        fields
    }

    /// The nest ends in something that is no attribute.
    pub(crate) const fn is_broken(&self) -> bool {
        self.broken
    }

    /// The highest type seen.
    pub(crate) const fn highest(&self) -> u16 {
        self.highest
    }

    pub(crate) fn has(&self, kind: usize) -> bool {
        self.bytes(kind).is_some()
    }

    pub(crate) fn bytes(&self, kind: usize) -> Option<&'a [u8]> {
        self.slots.get(kind).copied().flatten()
    }

    fn array<const N: usize>(&self, kind: usize) -> Option<[u8; N]> {
        self.bytes(kind)?.try_into().ok()
    }

    pub(crate) fn u8(&self, kind: usize) -> Option<u8> {
        self.array(kind).map(u8::from_ne_bytes)
    }

    pub(crate) fn be16(&self, kind: usize) -> Option<u16> {
        self.array(kind).map(u16::from_be_bytes)
    }

    pub(crate) fn be32(&self, kind: usize) -> Option<u32> {
        self.array(kind).map(u32::from_be_bytes)
    }

    pub(crate) fn be64(&self, kind: usize) -> Option<u64> {
        self.array(kind).map(u64::from_be_bytes)
    }

    /// Text up to its NUL; what is not UTF-8 is replaced.
    pub(crate) fn text(&self, kind: usize) -> Option<String> {
        self.bytes(kind).map(text).map(Cow::into_owned)
    }
}

/// Text up to its first NUL.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes.split(|&byte| byte == 0).next().unwrap_or(&[]))
}

/// The payloads of the attributes of one type in a list.
pub(crate) fn list(nest: &[u8], kind: u16) -> impl Iterator<Item = &[u8]> {
    Attributes::new(nest).flatten().filter(move |one| one.kind == kind).map(|one| one.payload)
}
