//! Types of values while compiling.

use crate::program::{Part, Raw, Series, Shape};
use crate::types::TypeId;

/// Where memory is, and so how it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// Reached from a typed argument: plain loads, faults are handled by the kernel.
    Btf,
    /// Kernel memory: `probe_read_kernel`.
    Kernel,
    /// User memory: `probe_read_user`.
    User,
    /// The program's context at a constant offset: plain loads.
    Ctx,
    /// A copy of user memory: read as the kernel's, but what its pointers point to is the user's.
    Copied,
}

/// A structure of the kernel or of the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StructRef {
    /// From BTF.
    Kernel(TypeId),
    /// Index into the script's declarations.
    Script(usize),
}

/// A C type; `Lazy` until somebody looks into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum C {
    /// `void`
    Void,
    /// An integer.
    Int {
        /// Bytes.
        size: u8,
        /// Signed.
        signed: bool,
        /// Arrays of it are strings.
        char_like: bool,
    },
    /// `bool`
    Bool,
    /// A pointer.
    Ptr(Box<C>),
    /// An array.
    Array(Box<C>, u32),
    /// A structure.
    Struct(StructRef),
    /// An enumeration.
    Enum(TypeId, u8, bool),
    /// Not looked at yet.
    Lazy(TypeId),
}

/// An aggregation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Agg {
    Count,
    Sum { signed: bool },
    Min { signed: bool },
    Max { signed: bool },
    Avg { signed: bool },
    Stats { signed: bool },
    Hist { bits: u8 },
    Lhist { min: i64, max: i64, step: i64 },
    Tseries { interval: u64, count: u32, kind: Series, signed: bool },
}

impl Agg {
    /// Whether a key has several entries: buckets or intervals.
    pub fn bucketed(&self) -> bool {
        matches!(self, Self::Hist { .. } | Self::Lhist { .. } | Self::Tseries { .. })
    }

    /// Whether its values are signed.
    pub fn signed(&self) -> bool {
        match self {
            Self::Sum { signed }
            | Self::Min { signed }
            | Self::Max { signed }
            | Self::Avg { signed }
            | Self::Tseries { signed, .. }
            | Self::Stats { signed } => *signed,
            Self::Count => true,
            Self::Hist { .. } | Self::Lhist { .. } => false,
        }
    }
}

/// The type of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ty {
    /// Not known yet.
    Unknown,
    /// No value.
    None,
    /// A number; always extended to 64 bits.
    Int {
        /// Bytes it came from.
        size: u8,
        /// Signed.
        signed: bool,
    },
    /// 0 or 1.
    Bool,
    /// A kernel enum.
    Enum(TypeId),
    /// A string of so many bytes.
    Str(u32),
    /// Bytes with a length.
    Buf(u32),
    /// An address of IPv4 or IPv6.
    Inet,
    /// A hardware address.
    Mac,
    /// A kernel symbol.
    Ksym,
    /// A user symbol.
    Usym,
    /// A kernel stack.
    Kstack(u32, String),
    /// A user stack.
    Ustack(u32, String),
    /// A time to format.
    Timestamp(String),
    /// A cgroup's path.
    CgroupPath,
    /// A tuple, or a record when parts have names.
    Tuple(Vec<(String, Ty)>),
    /// The name of a user, by number.
    Username,
    /// The text of an error, by number.
    Errno,
    /// The name of a signal, by number.
    Signal,
    /// A pointer.
    Ptr(C, Space),
    /// A structure or array in memory, not loaded.
    Place(C, Space),
    /// `args`
    Args,
    /// An aggregation, of a map or as assigned.
    Agg(Agg),
}

impl Ty {
    /// A 64-bit unsigned number.
    pub const U64: Self = Self::Int { size: 8, signed: false };
    /// A 64-bit signed number.
    pub const I64: Self = Self::Int { size: 8, signed: true };

    /// The type of a literal: the smallest that holds it, signed if one of that size does.
    pub fn literal(n: u64) -> Self {
        let (size, signed) = match n {
            0..=0x7f => (1, true),
            0x80..=0xff => (1, false),
            0x100..=0x7fff => (2, true),
            0x8000..=0xffff => (2, false),
            0x1_0000..=0x7fff_ffff => (4, true),
            0x8000_0000..=0xffff_ffff => (4, false),
            0x1_0000_0000..=0x7fff_ffff_ffff_ffff => (8, true),
            _ => (8, false),
        };
        Self::Int { size, signed }
    }

    /// The type of a literal with a minus before it.
    pub fn negative(n: u64) -> Self {
        let size = match n {
            0..=0x80 => 1,
            0x81..=0x8000 => 2,
            0x8001..=0x8000_0000 => 4,
            _ => 8,
        };
        Self::Int { size, signed: true }
    }

    /// The string an array of so many characters is. It need not end with NUL, so there is room for one more; the
    /// names of tasks (16 bytes) always do.
    pub fn chars(len: u32) -> Self {
        let len = len.clamp(1, 1 << 14);
        Self::Str(if len == 16 { len } else { len + 1 })
    }

    /// What an aggregation is when its value is taken: a number. Histograms have none.
    pub fn decayed(&self) -> Self {
        match self {
            Self::Agg(agg) if agg.bucketed() => self.clone(),
            Self::Agg(Agg::Count) => Self::I64,
            Self::Agg(_) => Self::Int { size: 8, signed: self.signed() },
            other => other.clone(),
        }
    }

    /// Whether every value of the type is a number that 64 signed bits hold as it is.
    pub fn fits_signed(&self) -> bool {
        match self {
            Self::Int { size, signed } => *signed || *size < 8,
            Self::Bool | Self::Enum(..) => true,
            Self::Agg(Agg::Count) => true,
            other => other.signed(),
        }
    }

    /// Whether the value fits a register.
    pub fn scalar(&self) -> bool {
        matches!(self, Self::Int { .. } | Self::Bool | Self::Enum(_) | Self::Ptr(..) | Self::Agg(_))
    }

    /// Whether it counts as signed in arithmetic.
    pub fn signed(&self) -> bool {
        match self {
            Self::Int { signed, .. } => *signed,
            Self::Agg(
                Agg::Sum { signed }
                | Agg::Min { signed }
                | Agg::Max { signed }
                | Agg::Avg { signed }
                | Agg::Stats { signed },
            ) => *signed,
            _ => false,
        }
    }

    /// How users would call it.
    pub fn name(&self) -> String {
        match self {
            Self::Unknown => "unknown".into(),
            Self::None | Self::Args => "none".into(),
            Self::Int { size, signed } => {
                format!("{}int{}", if *signed { "" } else { "u" }, u32::from(*size) * 8)
            }
            Self::Bool => "bool".into(),
            Self::Enum(_) => "enum".into(),
            Self::Str(n) => format!("string[{n}]"),
            Self::Buf(n) => format!("buf[{n}]"),
            Self::Inet => "inet".into(),
            Self::Mac => "mac_address".into(),
            Self::Ksym => "ksym".into(),
            Self::Usym => "usym".into(),
            Self::Kstack(..) => "kstack".into(),
            Self::Ustack(..) => "ustack".into(),
            Self::Timestamp(_) => "timestamp".into(),
            Self::CgroupPath => "cgroup_path".into(),
            Self::Username => "username".into(),
            Self::Errno => "strerror".into(),
            Self::Signal => "signal_name".into(),
            Self::Tuple(parts) => {
                let parts: Vec<String> = parts.iter().map(|(_, t)| t.name()).collect();
                format!("({})", parts.join(","))
            }
            Self::Ptr(..) => "pointer".into(),
            Self::Place(C::Array(..), _) => "array".into(),
            Self::Place(..) => "struct".into(),
            Self::Agg(agg) => {
                let text = format!("{agg:?}").to_lowercase();
                format!("{}_t", text.split_whitespace().next().unwrap_or("aggregation"))
            }
        }
    }

    /// The shape in memory; raw structures and enums are completed by the caller.
    pub fn shape(
        &self,
        enums: &dyn Fn(TypeId) -> Vec<(String, i64)>,
        raw: &dyn Fn(&C) -> (u32, Raw),
    ) -> Shape {
        match self {
            Self::Int { signed, .. } => Shape::Int { signed: *signed },
            Self::Bool => Shape::Bool,
            Self::Enum(id) => Shape::Enum { values: enums(*id) },
            Self::Str(size) => Shape::Str { size: *size },
            Self::Buf(max) => Shape::Buf { max: *max },
            Self::Inet => Shape::Inet,
            Self::Mac => Shape::Mac,
            Self::Ksym => Shape::Ksym,
            Self::Usym => Shape::Usym,
            Self::Kstack(depth, mode) => Shape::Kstack { depth: *depth, mode: mode.clone() },
            Self::Ustack(depth, mode) => Shape::Ustack { depth: *depth, mode: mode.clone() },
            Self::Timestamp(format) => Shape::Timestamp { format: format.clone() },
            Self::CgroupPath => Shape::CgroupPath,
            Self::Username => Shape::Username,
            Self::Errno => Shape::Errno,
            Self::Signal => Shape::Signal,
            Self::Ptr(..) => Shape::Ptr,
            Self::Tuple(list) => {
                let mut offset = 0;
                let mut parts = Vec::new();
                for (name, ty) in list {
                    let shape = ty.shape(enums, raw);
                    let size = shape.size();
                    parts.push(Part { name: name.clone(), offset, shape });
                    offset += size;
                }
                Shape::Tuple { size: offset, parts }
            }
            Self::Place(c, _) => {
                let (size, of) = raw(c);
                Shape::Raw { size: size.next_multiple_of(8), of }
            }
            Self::Agg(_) => Shape::Int { signed: self.signed() },
            Self::Unknown | Self::None | Self::Args => Shape::Int { signed: true },
        }
    }
}
