//! What the compiler must know of a kernel: types, signatures and records, answered by BTF and tracefs elsewhere.
//!
//! The compiler never reads a file. `netwhy-bpf` implements [`Types`] over BTF lazily; tests implement it over tables.

use crate::program::Attach;

/// A type of the kernel; meaningful only to the [`Types`] that gave it. BTF ids of vmlinux fit as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(pub u32);

/// The tag namespace a name is looked up in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tag {
    /// `struct NAME`
    Struct,
    /// `union NAME`
    Union,
    /// `enum NAME`
    Enum,
    /// A typedef.
    Typedef,
}

/// A type with typedefs and qualifiers already resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypeDesc {
    /// `void`
    Void,
    /// An integer.
    Int {
        /// Bytes: 1, 2, 4, 8 or 16.
        size: u8,
        /// Whether it is signed.
        signed: bool,
        /// Whether it is a character type, so that arrays of it are strings.
        char_like: bool,
    },
    /// A pointer to this type.
    Ptr(TypeId),
    /// A fixed array.
    Array {
        /// Type of an element.
        elem: TypeId,
        /// Elements; 0 for a flexible array.
        len: u32,
    },
    /// A structure or union.
    Struct {
        /// Tag, empty when anonymous.
        name: String,
        /// Bytes.
        size: u32,
        /// Whether members overlap.
        union: bool,
        /// Members in order; anonymous ones have an empty name and are searched through by the compiler.
        members: Vec<Member>,
    },
    /// An enumeration.
    Enum {
        /// Tag, empty when anonymous.
        name: String,
        /// Bytes.
        size: u8,
        /// Whether values are signed.
        signed: bool,
        /// Names and values.
        values: Vec<(String, i64)>,
    },
    /// A structure declared but not defined, by name.
    Fwd(String),
    /// A function or prototype.
    Func,
    /// A floating point number of that many bytes.
    Float(u8),
}

/// A member of a structure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Name, empty when anonymous.
    pub name: String,
    /// Type.
    pub ty: TypeId,
    /// Offset from the structure's start in bits.
    pub bit_offset: u32,
    /// Width of a bit-field in bits; 0 for an ordinary member.
    pub bit_size: u32,
}

/// An argument of a function or raw tracepoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Name; empty when the kernel does not say.
    pub name: String,
    /// Type.
    pub ty: TypeId,
}

/// A function's signature. For raw tracepoints, `params` excludes the hidden first `void *__data`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Signature {
    /// Arguments in order.
    pub params: Vec<Param>,
    /// What is returned; `None` for `void`.
    pub ret: Option<TypeId>,
}

/// A field of a tracepoint's record, as its `format` file says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordField {
    /// Name.
    pub name: String,
    /// Declared C type, without the name and the array part, e.g. `const void *` or `__u8`.
    pub c_type: String,
    /// Bytes from the start of the record.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
    /// Whether the value is signed.
    pub signed: bool,
    /// Elements of an array field such as `char comm[16]`; `None` for a plain field.
    pub array: Option<u32>,
    /// How a variable-length field is reached.
    pub location: Location,
}

/// How the bytes of a record's field are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location {
    /// At its offset.
    Inline,
    /// `__data_loc`: a 32-bit word holds offset (low half, from the record's start) and length (high half).
    DataLoc,
    /// `__rel_loc`: as `DataLoc`, but the offset counts from the end of the word.
    RelLoc,
}

/// Answers questions about one kernel's types. Every method may be slow the first time; the compiler asks only for
/// what a script touches.
pub trait Types {
    /// The type with this tag.
    fn find(&self, tag: Tag, name: &str) -> Option<TypeId>;
    /// The definition, typedefs and qualifiers resolved.
    fn describe(&self, id: TypeId) -> Option<TypeDesc>;
    /// The value of an enumerator and the enum it belongs to.
    fn enumerator(&self, name: &str) -> Option<(i64, TypeId)>;
    /// The signature of a kernel function (of a module, when named).
    fn function(&self, module: Option<&str>, name: &str) -> Option<Signature>;
    /// The arguments of a raw tracepoint (`btf_trace_NAME`).
    fn raw_tracepoint(&self, name: &str) -> Option<Signature>;
    /// The record of a tracepoint; common fields included.
    fn tracepoint(&self, category: &str, event: &str) -> Option<Vec<RecordField>>;
    /// Address of a kernel symbol, for `kaddr("name")`.
    fn symbol(&self, name: &str) -> Option<u64> {
        let _ = name;
        None
    }
    /// Names a misspelt `name` of this tag may have meant; may be empty.
    fn similar(&self, tag: Tag, name: &str) -> Vec<String> {
        let _ = (tag, name);
        Vec::new()
    }
}

/// Lists what can be probed, for wildcards and for the nearest name of a misspelt one.
pub trait Probes {
    /// Names that match, for a provider such as `tracepoint`; `pattern` is everything after the first colon, with
    /// `*`, `?` and `[]` wildcards. Answers are in the same form (`net:net_dev_queue`) and sorted.
    fn matching(&self, provider: &str, pattern: &str) -> Vec<String>;
    /// Whether this exact name exists; `None` when nobody can tell (then it is taken as it is).
    fn exists(&self, provider: &str, name: &str) -> Option<bool> {
        let _ = (provider, name);
        None
    }
    /// Existing names close to this one.
    fn similar(&self, provider: &str, name: &str) -> Vec<String> {
        let _ = (provider, name);
        Vec::new()
    }
    /// `PATH:SYMBOL` with the path of the file that is meant; `None` when it is not found or nobody can tell.
    fn resolve(&self, provider: &str, name: &str) -> Option<String> {
        let _ = (provider, name);
        None
    }
    /// Every place of the statically defined user probes that `PATH:PROVIDER:NAME` or `PATH:NAME` stands for; `None`
    /// when nobody can tell.
    fn usdt(&self, pattern: &str) -> Option<Vec<Attach>> {
        let _ = pattern;
        None
    }
    /// What stands in for a probe that this kernel cannot attach; `None` when it can, or nothing does.
    fn instead(&self, provider: &str, name: &str) -> Option<Instead> {
        let _ = (provider, name);
        None
    }
}

/// Another probe that sees the same, or nearly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instead {
    /// The other probe.
    pub point: String,
    /// When it counts, as an expression; nothing means always.
    pub when: Option<String>,
    /// What `arg0`, `retval` and so on are there, as expressions.
    pub values: Vec<(String, String)>,
}

/// Knows no type at all: enough for scripts that touch neither `args` nor structures.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTypes;

impl Types for NoTypes {
    fn find(&self, _: Tag, _: &str) -> Option<TypeId> {
        None
    }
    fn describe(&self, _: TypeId) -> Option<TypeDesc> {
        None
    }
    fn enumerator(&self, _: &str) -> Option<(i64, TypeId)> {
        None
    }
    fn function(&self, _: Option<&str>, _: &str) -> Option<Signature> {
        None
    }
    fn raw_tracepoint(&self, _: &str) -> Option<Signature> {
        None
    }
    fn tracepoint(&self, _: &str, _: &str) -> Option<Vec<RecordField>> {
        None
    }
}

impl Probes for NoTypes {
    fn matching(&self, _: &str, _: &str) -> Vec<String> {
        Vec::new()
    }
}
