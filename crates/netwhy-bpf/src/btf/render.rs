//! Types as C writes them, for listings.

use std::fmt::Write;

use super::{Btf, Kind};

/// How deep anonymous structures are shown.
const DEPTH: usize = 8;

impl Btf {
    /// A declaration of `name` with this type, as `const struct sk_buff *skb` or `char comm[16]`.
    #[must_use]
    pub fn declaration(&self, id: u32, name: &str) -> String {
        self.declared(id, name.to_owned(), 0)
    }

    fn declared(&self, id: u32, inner: String, depth: usize) -> String {
        let plain = |base: &str| if inner.is_empty() { base.to_owned() } else { format!("{base} {inner}") };
        let Some(head) = self.head(id).filter(|_| depth < 32) else { return plain("void") };
        let name = self.string(head.name);
        match head.kind {
            Kind::Ptr => {
                let target = self.head(head.word).map(|h| h.kind);
                let inner = match target {
                    Some(Kind::Array | Kind::FuncProto) => format!("(*{inner})"),
                    _ => format!("*{inner}"),
                };
                self.declared(head.word, inner, depth + 1)
            }
            Kind::Const => self.qualified("const", head.word, inner, depth),
            Kind::Volatile => self.qualified("volatile", head.word, inner, depth),
            Kind::Restrict | Kind::TypeTag => self.declared(head.word, inner, depth + 1),
            Kind::Array => {
                let len = self.word(&head, 2).unwrap_or(0);
                let elem = self.word(&head, 0).unwrap_or(0);
                self.declared(elem, format!("{inner}[{len}]"), depth + 1)
            }
            Kind::FuncProto => {
                let params: Vec<String> =
                    (0..head.vlen)
                        .map(|n| self.word(&head, n * 2 + 1).unwrap_or(0))
                        .map(|id| {
                            if id == 0 {
                                "...".to_owned()
                            } else {
                                self.declared(id, String::new(), depth + 1)
                            }
                        })
                        .collect();
                let params = if params.is_empty() { "void".to_owned() } else { params.join(", ") };
                self.declared(head.word, format!("{inner}({params})"), depth + 1)
            }
            Kind::Struct => plain(&tagged("struct", &name)),
            Kind::Union => plain(&tagged("union", &name)),
            Kind::Enum | Kind::Enum64 => plain(&tagged("enum", &name)),
            Kind::Fwd => plain(&tagged(if head.flag { "union" } else { "struct" }, &name)),
            _ => plain(&name),
        }
    }

    /// The qualifier of a pointer stands behind its star.
    fn qualified(&self, word: &str, id: u32, inner: String, depth: usize) -> String {
        match self.head(id).map(|head| head.kind) {
            Some(Kind::Ptr) => {
                let gap = if inner.is_empty() { "" } else { " " };
                self.declared(id, format!("{word}{gap}{inner}"), depth + 1)
            }
            _ => format!("{word} {}", self.declared(id, inner, depth + 1)),
        }
    }

    /// The definition of a structure, union or enumeration.
    #[must_use]
    pub fn definition(&self, id: u32) -> Option<String> {
        let head = self.head(id)?;
        let name = self.string(head.name);
        let mut out = String::new();
        match head.kind {
            Kind::Struct | Kind::Union => {
                out = format!("{} {{\n", tagged(word(head.kind), &name));
                self.members(id, 1, &mut out);
                out.push_str("};");
            }
            Kind::Enum | Kind::Enum64 => {
                let _ = writeln!(out, "{} {{", tagged("enum", &name));
                let Some(netwhy_lang::types::TypeDesc::Enum { values, .. }) = self.describe(id) else {
                    return None;
                };
                for (name, value) in values {
                    let _ = writeln!(out, "\t{name} = {value},");
                }
                out.push_str("};");
            }
            _ => return None,
        }
        Some(out)
    }

    fn members(&self, id: u32, depth: usize, out: &mut String) {
        let Some(netwhy_lang::types::TypeDesc::Struct { members, .. }) = self.describe(id) else { return };
        let tabs = "\t".repeat(depth);
        for member in members {
            let target = self.resolve(member.ty.0).and_then(|id| Some((id, self.head(id)?)));
            match target {
                Some((id, head))
                    if matches!(head.kind, Kind::Struct | Kind::Union)
                        && self.name_bytes(head.name).is_empty()
                        && depth < DEPTH =>
                {
                    let _ = writeln!(out, "{tabs}{} {{", word(head.kind));
                    self.members(id, depth + 1, out);
                    let gap = if member.name.is_empty() { "" } else { " " };
                    let _ = writeln!(out, "{tabs}}}{gap}{};", member.name);
                }
                _ => {
                    let bits =
                        if member.bit_size > 0 { format!(": {}", member.bit_size) } else { String::new() };
                    let _ = writeln!(out, "{tabs}{}{bits};", self.declaration(member.ty.0, &member.name));
                }
            }
        }
    }
}

fn word(kind: Kind) -> &'static str {
    if kind == Kind::Union { "union" } else { "struct" }
}

fn tagged(word: &str, name: &str) -> String {
    if name.is_empty() { format!("{word} <anonymous>") } else { format!("{word} {name}") }
}
