//! Netlink messages and attributes: a zero-copy reader and a builder (uapi `linux/netlink.h`).
//!
//! Nothing here knows a family. A datagram is a run of messages ([`Messages`]); a message is a fixed
//! family header ([`Fixed`]) followed by attributes ([`Attributes`]); an attribute may hold attributes.

mod build;
mod read;
mod table;

pub use build::{Builder, Nest, TooLong};
pub use read::{Attribute, AttributeError, Attributes, Fixed, Message, MessageError, Messages, Problem};
pub use table::Table;

/// Everything in netlink starts on a multiple of four bytes (`NLMSG_ALIGNTO`, `NLA_ALIGNTO`).
#[must_use]
pub const fn align(length: usize) -> usize {
    length.saturating_add(3) & !3
}

/// Length of `struct nlmsghdr`.
pub const MESSAGE_HEADER: usize = 16;
/// Length of `struct nlattr`.
pub const ATTRIBUTE_HEADER: usize = 4;
/// `NLA_F_NESTED`: the payload is a run of attributes.
pub const NLA_F_NESTED: u16 = 0x8000;
/// `NLA_F_NET_BYTEORDER`: the payload is big endian.
pub const NLA_F_NET_BYTEORDER: u16 = 0x4000;
/// `NLA_TYPE_MASK`: what is left of the type without the two flags.
pub const NLA_TYPE_MASK: u16 = 0x3fff;

#[cfg(test)]
mod properties;
