//! The attributes of one message, looked up by number.

use std::net::IpAddr;

use super::{Attribute, AttributeError, Attributes, Fixed};

/// The attributes of one message by number, up to `N`; the last of a kind counts, as the kernel itself reads
/// them. Larger numbers are left out: a newer kernel's.
#[derive(Debug, Clone)]
pub struct Table<'a, const N: usize>([Option<Attribute<'a>>; N]);

macro_rules! numbers {
    ($($name:ident: $type:ty;)*) => {$(
        #[doc = concat!("The number of attribute `kind` as `Attribute::", stringify!($name), "` reads it.")]
        pub fn $name(&self, kind: u16) -> Result<Option<$type>, AttributeError> {
            self.get(kind).map(|attribute| attribute.$name()).transpose()
        }
    )*};
}

impl<'a, const N: usize> Table<'a, N> {
    /// Reads a run of attributes. Fails if the run is broken.
    pub fn read(attributes: Attributes<'a>) -> Result<Self, AttributeError> {
        let mut table = [None; N];
        for attribute in attributes {
            let attribute = attribute?;
            if let Some(place) = table.get_mut(usize::from(attribute.kind)) {
                *place = Some(attribute);
            }
        }
        Ok(Table(table))
    }

    /// The attributes behind a family header of `header` bytes.
    pub fn after(payload: &'a [u8], header: usize) -> Result<Self, AttributeError> {
        Self::read(Attributes::after(payload, header))
    }

    /// One attribute.
    #[must_use]
    pub fn get(&self, kind: u16) -> Option<Attribute<'a>> {
        self.0.get(usize::from(kind)).copied().flatten()
    }

    /// Whether the attribute is there.
    #[must_use]
    pub fn has(&self, kind: u16) -> bool {
        self.get(kind).is_some()
    }

    numbers! {
        u8: u8; u16: u16; u32: u32; u64: u64; i32: i32; i64: i64; be16: u16; be32: u32; be64: u64; uint: u64; ip: IpAddr;
    }

    /// Text, with what is not UTF-8 replaced.
    #[must_use]
    pub fn text(&self, kind: u16) -> Option<std::borrow::Cow<'a, str>> {
        self.get(kind).map(|attribute| attribute.text())
    }

    /// A kernel structure.
    #[must_use]
    pub fn fixed(&self, kind: u16) -> Option<Fixed<'a>> {
        self.get(kind).map(|attribute| attribute.fixed())
    }

    /// The attributes inside an attribute.
    pub fn nest<const M: usize>(&self, kind: u16) -> Result<Option<Table<'a, M>>, AttributeError> {
        self.get(kind).map(|attribute| Table::read(attribute.attributes())).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Builder;
    use super::*;

    #[test]
    fn the_last_of_a_kind_counts_and_a_broken_run_is_an_error() {
        let mut builder = Builder::new();
        builder.u32(1, 5).u32(1, 6).nest(2, |inside| {
            inside.u8(1, 9);
        });
        let bytes = builder.finish().unwrap();
        let table: Table<'_, 4> = Table::read(Attributes::new(&bytes)).unwrap();
        assert_eq!(table.u32(1).unwrap(), Some(6));
        assert_eq!(table.u32(3).unwrap(), None);
        assert_eq!(table.nest::<2>(2).unwrap().unwrap().u8(1).unwrap(), Some(9));
        assert!(table.u8(1).is_err());
        let cut = bytes.get(..bytes.len() - 3).unwrap();
        assert!(Table::<'_, 4>::read(Attributes::new(cut)).is_err());
    }
}
