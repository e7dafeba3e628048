//! C types: structures, members, and types as written in a script.

use super::ty::{C, StructRef};
use crate::ast::{EnumDecl, StructDecl, TypeName};
use crate::diag::{Diagnostic, Result};
use crate::types::{Tag, TypeDesc, TypeId, Types};

/// A member found, anonymous structures searched through.
#[derive(Debug, Clone)]
pub struct Found {
    /// Bits from the start of the structure.
    pub bit_offset: u32,
    /// Bits of a bit-field, else 0.
    pub bit_size: u32,
    /// Type.
    pub c: C,
    /// Whether a plain load through a typed pointer is what the verifier expects here.
    pub direct: bool,
}

/// A member and where it is.
#[derive(Debug, Clone)]
pub struct Laid {
    /// Name, empty for an anonymous structure.
    pub name: String,
    /// Type.
    pub c: C,
    /// Bits from the start of the structure.
    pub bit_offset: u32,
    /// Bits of a bit-field, else 0.
    pub bit_size: u32,
}

/// The kernel's types and those of the script.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// The kernel's.
    pub types: &'a dyn Types,
    /// The script's.
    pub structs: &'a [StructDecl],
    /// The script's enumerations.
    pub enums: &'a [EnumDecl],
    /// Bytes of strings without a length.
    pub strlen: u32,
}

/// Enumerations of the script have ids from here on; those of a kernel are never so many.
const SCRIPT_ENUMS: u32 = 0xf000_0000;

impl World<'_> {
    /// Looks one level into a type.
    pub fn look(&self, c: &C) -> C {
        let C::Lazy(id) = c else { return c.clone() };
        if id.0 >= SCRIPT_ENUMS {
            let wide = self.enum_values(*id).iter().any(|(_, v)| i32::try_from(*v).is_err());
            return C::Enum(*id, if wide { 8 } else { 4 }, true);
        }
        match self.types.describe(*id) {
            Some(TypeDesc::Int { size, signed, char_like }) => C::Int { size, signed, char_like },
            Some(TypeDesc::Ptr(to)) => C::Ptr(Box::new(C::Lazy(to))),
            Some(TypeDesc::Array { elem, len }) => C::Array(Box::new(C::Lazy(elem)), len),
            Some(TypeDesc::Struct { .. }) => C::Struct(StructRef::Kernel(*id)),
            Some(TypeDesc::Enum { size, signed, .. }) => C::Enum(*id, size, signed),
            Some(TypeDesc::Float(size)) => C::Int { size, signed: false, char_like: false },
            _ => C::Void,
        }
    }

    /// Names and values of an enumeration.
    pub fn enum_values(&self, id: TypeId) -> Vec<(String, i64)> {
        if let Some(index) = id.0.checked_sub(SCRIPT_ENUMS) {
            return self.enums.get(index as usize).map_or_else(Vec::new, |e| e.values.clone());
        }
        match self.types.describe(id) {
            Some(TypeDesc::Enum { values, .. }) => values,
            _ => Vec::new(),
        }
    }

    /// An enumerator of the script or of the kernel: its value and its type.
    pub fn enumerator(&self, name: &str) -> Option<(i64, TypeId)> {
        for (i, decl) in self.enums.iter().enumerate() {
            if let Some((_, value)) = decl.values.iter().find(|(n, _)| n == name) {
                return Some((*value, TypeId(SCRIPT_ENUMS + i as u32)));
            }
        }
        self.types.enumerator(name)
    }

    /// Bytes of a type.
    pub fn size(&self, c: &C) -> u32 {
        self.size_at(c, 0)
    }

    fn size_at(&self, c: &C, depth: u32) -> u32 {
        if depth > 32 {
            return 0;
        }
        match self.look(c) {
            C::Int { size, .. } | C::Enum(_, size, _) => u32::from(size),
            C::Bool => 1,
            C::Ptr(_) => 8,
            C::Array(elem, len) => self.size_at(&elem, depth + 1).saturating_mul(len),
            C::Struct(StructRef::Kernel(id)) => match self.types.describe(id) {
                Some(TypeDesc::Struct { size, .. }) => size,
                _ => 0,
            },
            C::Struct(StructRef::Script(i)) => self.layout(i, depth + 1).1,
            C::Void | C::Lazy(_) => 0,
        }
    }

    fn align(&self, c: &C, depth: u32) -> u32 {
        match self.look(c) {
            C::Array(elem, _) if depth < 32 => self.align(&elem, depth + 1),
            C::Struct(StructRef::Script(i)) if depth < 32 => {
                self.layout(i, depth + 1).0.iter().map(|m| self.align(&m.c, depth + 1)).max().unwrap_or(1)
            }
            C::Struct(StructRef::Kernel(_)) => 8,
            other => self.size_at(&other, depth + 1).clamp(1, 8),
        }
    }

    /// Members of a structure of the script, and its size. Bit-fields are laid out as GCC and clang do on
    /// little-endian machines: into units of their type, never across one.
    fn layout(&self, index: usize, depth: u32) -> (Vec<Laid>, u32) {
        let (mut out, mut bit, mut widest, mut size) = (Vec::new(), 0u64, 1u32, 0u64);
        let Some(decl) = self.structs.get(index).filter(|_| depth < 16) else { return (out, 0) };
        for member in &decl.members {
            let Ok(c) = self.named(&member.ty) else { continue };
            let align = self.align(&c, depth + 1);
            let bytes = self.size_at(&c, depth + 1);
            if decl.union {
                bit = 0;
            }
            let unit = u64::from(bytes.max(1)) * 8;
            let width = match member.bits {
                Some(0) => {
                    bit = bit.next_multiple_of(unit);
                    continue;
                }
                Some(bits) => u64::from(bits),
                None => u64::from(bytes) * 8,
            };
            if member.bits.is_none() {
                bit = bit.next_multiple_of(u64::from(align) * 8);
            } else if bit / unit != (bit + width - 1) / unit {
                bit = bit.next_multiple_of(unit);
            }
            widest = widest.max(align);
            let bit_offset = u32::try_from(bit).unwrap_or(u32::MAX);
            out.push(Laid { name: member.name.clone(), c, bit_offset, bit_size: member.bits.unwrap_or(0) });
            bit += width;
            size = size.max(bit.div_ceil(8));
        }
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        (out, size.checked_next_multiple_of(widest).unwrap_or(size))
    }

    /// The members of a structure in order.
    pub fn members(&self, s: StructRef) -> Vec<Laid> {
        match s {
            StructRef::Script(i) => self.layout(i, 0).0,
            StructRef::Kernel(id) => match self.types.describe(id) {
                Some(TypeDesc::Struct { members, .. }) => members
                    .into_iter()
                    .map(|m| Laid {
                        name: m.name,
                        c: C::Lazy(m.ty),
                        bit_offset: m.bit_offset,
                        bit_size: m.bit_size,
                    })
                    .collect(),
                _ => Vec::new(),
            },
        }
    }

    /// Finds a member by name.
    pub fn field(&self, s: StructRef, name: &str) -> Option<Found> {
        match s {
            StructRef::Script(i) => self.script_field(i, name, 0),
            StructRef::Kernel(id) => self.kernel_field(id, name, 0),
        }
    }

    fn script_field(&self, index: usize, name: &str, depth: u32) -> Option<Found> {
        if depth > 12 {
            return None;
        }
        for m in self.layout(index, 0).0 {
            if m.name == name {
                return Some(Found { bit_offset: m.bit_offset, bit_size: m.bit_size, c: m.c, direct: false });
            }
            if let (true, C::Struct(StructRef::Script(inner))) = (m.name.is_empty(), &m.c)
                && let Some(mut found) = self.script_field(*inner, name, depth + 1)
            {
                found.bit_offset = found.bit_offset.saturating_add(m.bit_offset);
                return Some(found);
            }
        }
        None
    }

    fn kernel_field(&self, id: TypeId, name: &str, depth: u32) -> Option<Found> {
        let Some(TypeDesc::Struct { union, members, .. }) = self.types.describe(id).filter(|_| depth < 12)
        else {
            return None;
        };
        // The verifier walks a union by its first member that covers the bytes.
        let first = if union { members.first().map(|m| self.look(&C::Lazy(m.ty))) } else { None };
        let safe = |found: &Found| match first {
            None => true,
            Some(C::Int { size, .. }) => {
                found.bit_size == 0 && found.bit_offset / 8 + self.size(&found.c) <= u32::from(size)
            }
            Some(_) => false,
        };
        for m in &members {
            let mut found = if m.name == name {
                Found { bit_offset: 0, bit_size: m.bit_size, c: C::Lazy(m.ty), direct: m.bit_size == 0 }
            } else if m.name.is_empty() {
                match self.kernel_field(m.ty, name, depth + 1) {
                    Some(found) => found,
                    None => continue,
                }
            } else {
                continue;
            };
            let inner_first_is_it = m.name == name && members.first().is_some_and(|f| f.name == name);
            found.direct &= inner_first_is_it || safe(&found);
            found.bit_offset = found.bit_offset.saturating_add(m.bit_offset);
            return Some(found);
        }
        None
    }

    /// Whether a type is a pointer to the kernel's structure of that name.
    pub fn is_pointer_to(&self, ty: TypeId, name: &str) -> bool {
        let C::Ptr(to) = self.look(&C::Lazy(ty)) else { return false };
        let C::Struct(StructRef::Kernel(id)) = self.look(&to) else { return false };
        matches!(self.types.describe(id), Some(TypeDesc::Struct { name: found, .. }) if found == name)
    }

    /// Names of all members, for the nearest one.
    pub fn names(&self, s: StructRef) -> Vec<String> {
        fn collect(w: &World<'_>, id: TypeId, depth: u32, out: &mut Vec<String>) {
            if let Some(TypeDesc::Struct { members, .. }) = w.types.describe(id).filter(|_| depth < 6) {
                for m in members {
                    if m.name.is_empty() { collect(w, m.ty, depth + 1, out) } else { out.push(m.name) }
                }
            }
        }
        let mut out = Vec::new();
        match s {
            StructRef::Kernel(id) => collect(self, id, 0, &mut out),
            StructRef::Script(i) => out.extend(self.layout(i, 0).0.into_iter().map(|m| m.name)),
        }
        out
    }

    /// A type as written in a cast.
    pub fn named(&self, ty: &TypeName) -> Result<C> {
        let unknown = |tag, what: &str| {
            let similar = self.types.similar(tag, &ty.name);
            let mut err = Diagnostic::error(ty.span, format!("unknown {what} `{}`", ty.name));
            if let Some(best) = similar.first() {
                err = err.hint(format!("did you mean `{best}`?"));
            }
            err
        };
        let mut c = match ty.tag.as_str() {
            tag @ ("struct" | "union") => {
                let kernel = if tag == "union" { Tag::Union } else { Tag::Struct };
                match self.structs.iter().position(|s| s.name == ty.name) {
                    Some(i) => C::Struct(StructRef::Script(i)),
                    None => match self.types.find(kernel, &ty.name) {
                        Some(id) => C::Struct(StructRef::Kernel(id)),
                        None if ty.pointers > 0 && ty.name == "void" => C::Void,
                        None => return Err(unknown(kernel, tag)),
                    },
                }
            }
            "enum" => match self.enums.iter().position(|e| e.name == ty.name) {
                Some(i) => C::Lazy(TypeId(SCRIPT_ENUMS + i as u32)),
                None => match self.types.find(Tag::Enum, &ty.name) {
                    Some(id) => C::Lazy(id),
                    None => return Err(unknown(Tag::Enum, "enum")),
                },
            },
            _ => match int(&ty.name) {
                Some((0, _, _)) => C::Void,
                Some(_) if matches!(ty.name.as_str(), "bool" | "_Bool") => C::Bool,
                Some((size, signed, char_like)) => C::Int { size, signed, char_like },
                None => match self.types.find(Tag::Typedef, &ty.name) {
                    Some(id) => C::Lazy(id),
                    None => {
                        let found = self.types.find(Tag::Struct, &ty.name);
                        let mut err = unknown(Tag::Typedef, "type");
                        if found.is_some() {
                            err = err.hint(format!("write `struct {}`", ty.name));
                        }
                        return Err(err);
                    }
                },
            },
        };
        for _ in 0..ty.pointers {
            c = C::Ptr(Box::new(c));
        }
        for len in ty.dims.iter().rev() {
            c = C::Array(Box::new(c), *len);
        }
        Ok(c)
    }

    /// A C declaration from a tracepoint's format, such as `const struct sock *`.
    pub fn declared(&self, text: &str) -> Option<C> {
        let pointers = text.matches('*').count() as u32;
        let text = text.replace('*', " ");
        let mut words: Vec<&str> =
            text.split_whitespace().filter(|w| !matches!(*w, "const" | "volatile" | "__user")).collect();
        let tag = match words.first() {
            Some(&t @ ("struct" | "union" | "enum")) => {
                words.remove(0);
                t.to_string()
            }
            _ => String::new(),
        };
        let ty =
            TypeName { tag, name: words.join(" "), pointers, dims: Vec::new(), span: Default::default() };
        self.named(&ty).ok().or_else(|| (pointers > 0).then(|| C::Ptr(Box::new(C::Void))))
    }
}

/// Bytes, sign and whether it is a character, of C's and bpftrace's integer types; 0 bytes for `void`.
fn int(name: &str) -> Option<(u8, bool, bool)> {
    Some(match name {
        "void" => (0, false, false),
        "bool" | "_Bool" => (1, false, false),
        "char" => (1, true, true),
        "int8" | "int8_t" | "s8" | "__s8" | "signed char" => (1, true, false),
        "uint8" | "uint8_t" | "u8" | "__u8" | "unsigned char" => (1, false, false),
        "int16" | "int16_t" | "s16" | "__s16" | "short" | "short int" => (2, true, false),
        "uint16" | "uint16_t" | "u16" | "__u16" | "__be16" | "unsigned short" | "unsigned short int" => {
            (2, false, false)
        }
        "int32" | "int32_t" | "s32" | "__s32" | "int" | "signed" | "signed int" | "pid_t" => (4, true, false),
        "uint32" | "uint32_t" | "u32" | "__u32" | "__be32" | "unsigned" | "unsigned int" | "gfp_t"
        | "dev_t" => (4, false, false),
        "int64" | "int64_t" | "s64" | "__s64" | "long" | "long int" | "long long" | "long long int"
        | "ssize_t" => (8, true, false),
        "uint64"
        | "uint64_t"
        | "u64"
        | "__u64"
        | "__be64"
        | "unsigned long"
        | "unsigned long int"
        | "uintptr_t"
        | "unsigned long long"
        | "unsigned long long int"
        | "long unsigned int"
        | "size_t" => (8, false, false),
        _ => return None,
    })
}
