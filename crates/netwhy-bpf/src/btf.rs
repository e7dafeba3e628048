//! BTF: the kernel's description of its own types (Documentation/bpf/btf.rst).
//!
//! Opening notes where each type starts and nothing else; names and members are read when somebody asks. Bytes
//! may be anything: every read is bounded, and what does not fit is as if it were not there.

mod describe;
mod names;
mod render;
#[cfg(test)]
mod tests;

use std::cell::OnceCell;
use std::collections::HashMap;
use std::rc::Rc;

/// Kinds of types (`BTF_KIND_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are those of linux/btf.h")]
#[repr(u8)]
pub enum Kind {
    Int = 1,
    Ptr = 2,
    Array = 3,
    Struct = 4,
    Union = 5,
    Enum = 6,
    Fwd = 7,
    Typedef = 8,
    Volatile = 9,
    Const = 10,
    Restrict = 11,
    Func = 12,
    FuncProto = 13,
    Var = 14,
    DataSec = 15,
    Float = 16,
    DeclTag = 17,
    TypeTag = 18,
    Enum64 = 19,
}

impl Kind {
    fn new(number: u32) -> Option<Self> {
        Some(match number {
            1 => Kind::Int,
            2 => Kind::Ptr,
            3 => Kind::Array,
            4 => Kind::Struct,
            5 => Kind::Union,
            6 => Kind::Enum,
            7 => Kind::Fwd,
            8 => Kind::Typedef,
            9 => Kind::Volatile,
            10 => Kind::Const,
            11 => Kind::Restrict,
            12 => Kind::Func,
            13 => Kind::FuncProto,
            14 => Kind::Var,
            15 => Kind::DataSec,
            16 => Kind::Float,
            17 => Kind::DeclTag,
            18 => Kind::TypeTag,
            19 => Kind::Enum64,
            _ => return None,
        })
    }

    /// Bytes behind the common header for `vlen` members.
    const fn extra(self, vlen: usize) -> usize {
        match self {
            Kind::Int | Kind::Var | Kind::DeclTag => 4,
            Kind::Array => 12,
            Kind::Struct | Kind::Union | Kind::DataSec | Kind::Enum64 => 12 * vlen,
            Kind::Enum | Kind::FuncProto => 8 * vlen,
            _ => 0,
        }
    }
}

/// Why bytes are not BTF.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BtfError {
    /// The header is missing, of another byte order or version.
    #[error("BTF header: {0}")]
    Header(&'static str),
    /// A type runs over the end or is of an unknown kind.
    #[error("BTF type {id}: {what}")]
    Type {
        /// Its number.
        id: u32,
        /// What is wrong.
        what: &'static str,
    },
}

/// The common part of a type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) name: u32,
    pub(crate) kind: Kind,
    pub(crate) vlen: usize,
    /// `kind_flag`: members have bit-fields, enumerators are signed, a forward is a union.
    pub(crate) flag: bool,
    /// Size or another type.
    pub(crate) word: u32,
    /// Where what follows the head starts in the types' section.
    pub(crate) body: usize,
    /// It is in the kernel's description, asked for through a module's.
    pub(crate) inherited: bool,
}

/// An opened description.
#[derive(Debug)]
pub struct Btf {
    bytes: Vec<u8>,
    types: std::ops::Range<usize>,
    strings: std::ops::Range<usize>,
    /// Where type `n + 1` starts in the types' section.
    starts: Vec<u32>,
    names: OnceCell<names::Names>,
    enumerators: OnceCell<names::Enumerators>,
    /// The kernel's own description, when this is a module's: numbers and strings go on from there.
    base: Option<Rc<Btf>>,
}

const MAGIC: u16 = 0xeb9f;

impl Btf {
    /// Takes the bytes of a whole, self-contained description such as `/sys/kernel/btf/vmlinux`.
    pub fn new(bytes: Vec<u8>) -> Result<Self, BtfError> {
        Btf::open(bytes, None)
    }

    /// Takes the bytes of a module's description, which goes on where the kernel's ends.
    pub fn of_module(bytes: Vec<u8>, base: Rc<Btf>) -> Result<Self, BtfError> {
        Btf::open(bytes, Some(base))
    }

    fn open(bytes: Vec<u8>, base: Option<Rc<Btf>>) -> Result<Self, BtfError> {
        let word = |at: usize| read_u32(&bytes, at).map(|n| n as usize);
        let magic = bytes.first_chunk().map(|b| u16::from_ne_bytes(*b));
        match magic {
            Some(MAGIC) => {}
            Some(n) if n == MAGIC.swap_bytes() => return Err(BtfError::Header("other byte order")),
            _ => return Err(BtfError::Header("no magic number")),
        }
        if bytes.get(2) != Some(&1) {
            return Err(BtfError::Header("unknown version"));
        }
        let section = |offset: usize, length: usize| {
            let start = word(4)?.checked_add(word(offset)?)?;
            let end = start.checked_add(word(length)?)?;
            (end <= bytes.len()).then_some(start..end)
        };
        let types = section(8, 12).ok_or(BtfError::Header("types outside the file"))?;
        let strings = section(16, 20).ok_or(BtfError::Header("strings outside the file"))?;
        let (starts, names, enumerators) = (Vec::new(), OnceCell::new(), OnceCell::new());
        let mut btf = Btf { bytes, types, strings, starts, names, enumerators, base };
        btf.index()?;
        Ok(btf)
    }

    fn index(&mut self) -> Result<(), BtfError> {
        let section = self.bytes.get(self.types.clone()).unwrap_or_default();
        let mut starts = Vec::with_capacity(section.len() / 30);
        let mut at = 0;
        while at < section.len() {
            let id = self.first() + starts.len() as u32;
            let wrong = |what| BtfError::Type { id, what };
            let head = head(section, at).ok_or_else(|| wrong("cut off or of an unknown kind"))?;
            starts.push(u32::try_from(at).map_err(|_| wrong("too far into the file"))?);
            at = head.body + head.kind.extra(head.vlen);
        }
        if at != section.len() {
            return Err(BtfError::Type { id: starts.len() as u32, what: "runs over the end" });
        }
        self.starts = starts;
        Ok(())
    }

    /// How many types there are, `void` (0) included; numbers are below this.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.first() + self.starts.len() as u32
    }

    /// The number of the first type that is described here.
    pub(crate) fn first(&self) -> u32 {
        self.base.as_ref().map_or(1, |base| base.len())
    }

    /// There is nothing but `void`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    fn section(&self) -> &[u8] {
        self.bytes.get(self.types.clone()).unwrap_or_default()
    }

    pub(crate) fn head(&self, id: u32) -> Option<Head> {
        match &self.base {
            Some(base) if id < base.len() => base.head(id).map(|head| Head { inherited: true, ..head }),
            _ => {
                let start = *self.starts.get(id.checked_sub(self.first())? as usize)?;
                head(self.section(), start as usize)
            }
        }
    }

    /// The `n`th word behind a head.
    pub(crate) fn word(&self, head: &Head, n: usize) -> Option<u32> {
        let section = match &self.base {
            Some(base) if head.inherited => base.section(),
            _ => self.section(),
        };
        read_u32(section, head.body.checked_add(n.checked_mul(4)?)?)
    }

    pub(crate) fn name_bytes(&self, offset: u32) -> &[u8] {
        let mut offset = offset as usize;
        if let Some(base) = &self.base {
            match offset.checked_sub(base.strings.len()) {
                Some(own) => offset = own,
                None => return base.name_bytes(offset as u32),
            }
        }
        let strings = self.bytes.get(self.strings.clone()).unwrap_or_default();
        let rest = strings.get(offset..).unwrap_or_default();
        rest.split(|&b| b == 0).next().unwrap_or_default()
    }

    /// The text at an offset of the strings' section.
    pub(crate) fn string(&self, offset: u32) -> String {
        String::from_utf8_lossy(self.name_bytes(offset)).into_owned()
    }

    /// The first type of one of these kinds with this name: structures, unions, enums, typedefs and functions.
    #[must_use]
    pub fn find(&self, kinds: &[Kind], name: &str) -> Option<u32> {
        let names = self.names.get_or_init(|| names::Names::new(self));
        let named = |id: &u32| {
            self.head(*id).is_some_and(|head| {
                kinds.contains(&head.kind) && self.name_bytes(head.name) == name.as_bytes()
            })
        };
        names.candidates(name).filter(named).min()
    }

    /// Every named type of these kinds.
    pub fn named<'a>(&'a self, kinds: &'a [Kind]) -> impl Iterator<Item = (u32, &'a [u8])> {
        (self.first()..self.len()).filter_map(move |id| {
            let head = self.head(id)?;
            let name = self.name_bytes(head.name);
            (kinds.contains(&head.kind) && !name.is_empty()).then_some((id, name))
        })
    }

    /// Names of the events with a BTF tracepoint (typedefs `btf_trace_NAME`), with the typedef.
    #[must_use]
    pub fn tracepoints(&self) -> HashMap<String, u32> {
        self.named(&[Kind::Typedef])
            .filter_map(|(id, name)| {
                let event = name.strip_prefix(b"btf_trace_")?;
                Some((String::from_utf8_lossy(event).into_owned(), id))
            })
            .collect()
    }
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_ne_bytes(*b))
}

fn head(section: &[u8], at: usize) -> Option<Head> {
    let bytes: &[u8; 12] = section.get(at..)?.first_chunk()?;
    let [a, b, c, d, e, f, g, h, i, j, k, l] = *bytes;
    let info = u32::from_ne_bytes([e, f, g, h]);
    let kind = Kind::new(info >> 24 & 0x1f)?;
    Some(Head {
        name: u32::from_ne_bytes([a, b, c, d]),
        kind,
        vlen: (info & 0xffff) as usize,
        flag: info >> 31 != 0,
        word: u32::from_ne_bytes([i, j, k, l]),
        body: at + 12,
        inherited: false,
    })
}
