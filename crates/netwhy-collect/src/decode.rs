//! What the netlink decoders share. They are pure: bytes in, a value or the broken attribute out.

use std::fmt::Write;

use netwhy_wire::netlink::{Attribute, AttributeError, Fixed, Problem};

/// What a decoder returns.
pub(crate) type Decoded<T> = Result<T, AttributeError>;

/// The family header at the start of a message's payload; an error if it is cut.
pub(crate) fn header(payload: &[u8], length: usize) -> Decoded<Fixed<'_>> {
    if payload.len() < length {
        let problem = Problem::Length { want: length, got: payload.len() };
        return Err(AttributeError { kind: 0, offset: 0, problem });
    }
    Ok(Fixed(payload))
}

/// A structure inside an attribute; an error if it is shorter than its first version.
pub(crate) fn structure<'a>(attribute: &Attribute<'a>, length: usize) -> Decoded<Fixed<'a>> {
    if attribute.payload.len() < length {
        let problem = Problem::Length { want: length, got: attribute.payload.len() };
        return Err(AttributeError { kind: attribute.kind, offset: attribute.offset, problem });
    }
    Ok(attribute.fixed())
}

/// A hardware address: lower-case hexadecimal with colons.
pub(crate) fn mac(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 3);
    for (index, byte) in bytes.iter().enumerate() {
        let colon = if index == 0 { "" } else { ":" };
        // Writing to a string does not fail.
        let _ = write!(text, "{colon}{byte:02x}");
    }
    text
}

/// An address that a kernel sets to all zeroes when there is none.
pub(crate) fn given(address: std::net::IpAddr) -> Option<std::net::IpAddr> {
    (!address.is_unspecified()).then_some(address)
}
