//! What a type is made of, in the compiler's terms.

use netwhy_lang::types::{Member, Param, Signature, TypeDesc, TypeId};

use super::{Btf, Head, Kind, names};

/// Typedefs, qualifiers and tags in a row; real ones have fewer than ten.
const CHAIN: usize = 64;

impl Btf {
    /// Follows typedefs, qualifiers and tags to what they stand for; `None` for `void` and for rings.
    #[must_use]
    pub fn resolve(&self, id: u32) -> Option<u32> {
        let mut id = id;
        for _ in 0..CHAIN {
            let head = self.head(id)?;
            match head.kind {
                Kind::Typedef | Kind::Const | Kind::Volatile | Kind::Restrict | Kind::TypeTag => {
                    id = head.word
                }
                _ => return Some(id),
            }
        }
        None
    }

    /// The definition behind a number.
    #[must_use]
    pub fn describe(&self, id: u32) -> Option<TypeDesc> {
        if id == 0 {
            return Some(TypeDesc::Void);
        }
        let Some(target) = self.resolve(id) else {
            // A chain that ends in void: `const void`.
            return (id < self.len()).then_some(TypeDesc::Void);
        };
        let head = self.head(target)?;
        Some(match head.kind {
            Kind::Int => {
                let encoding = self.word(&head, 0)?;
                let name = self.name_bytes(head.name);
                let char_like = head.word == 1 && (encoding >> 24 & 2 != 0 || name.ends_with(b"char"));
                TypeDesc::Int { size: small(head.word)?, signed: encoding >> 24 & 1 != 0, char_like }
            }
            Kind::Ptr => TypeDesc::Ptr(TypeId(head.word)),
            Kind::Array => TypeDesc::Array { elem: TypeId(self.word(&head, 0)?), len: self.word(&head, 2)? },
            Kind::Struct | Kind::Union => TypeDesc::Struct {
                name: self.string(head.name),
                size: head.word,
                union: head.kind == Kind::Union,
                members: (0..head.vlen).map_while(|n| self.member(&head, n)).collect(),
            },
            Kind::Enum | Kind::Enum64 => TypeDesc::Enum {
                name: self.string(head.name),
                size: small(head.word)?,
                signed: head.flag,
                values: (0..head.vlen).map_while(|n| self.value(&head, n)).collect(),
            },
            Kind::Fwd => TypeDesc::Fwd(self.string(head.name)),
            Kind::Func | Kind::FuncProto => TypeDesc::Func,
            Kind::Float => TypeDesc::Float(small(head.word)?),
            _ => return None,
        })
    }

    fn member(&self, head: &Head, n: usize) -> Option<Member> {
        let offset = self.word(head, n * 3 + 2)?;
        let (bit_size, bit_offset) = if head.flag { (offset >> 24, offset & 0xff_ffff) } else { (0, offset) };
        let name = self.string(self.word(head, n * 3)?);
        Some(Member { name, ty: TypeId(self.word(head, n * 3 + 1)?), bit_offset, bit_size })
    }

    fn value(&self, head: &Head, n: usize) -> Option<(String, i64)> {
        let wide = head.kind == Kind::Enum64;
        let at = n * if wide { 3 } else { 2 };
        let name = self.string(self.word(head, at)?);
        let low = self.word(head, at + 1)?;
        let value = match (wide, head.flag) {
            (true, _) => (u64::from(self.word(head, at + 2)?) << 32 | u64::from(low)) as i64,
            (false, true) => i64::from(low as i32),
            (false, false) => i64::from(low),
        };
        Some((name, value))
    }

    /// An enumerator by name, and its enum.
    #[must_use]
    pub fn enumerator(&self, name: &str) -> Option<(i64, u32)> {
        let table = self.enumerators.get_or_init(|| names::Enumerators::new(self));
        table.candidates(name).find_map(|(id, n)| {
            let head = self.head(id)?;
            let at = self.word(&head, n as usize * names::step(head.kind)?)?;
            (self.name_bytes(at) == name.as_bytes()).then_some(())?;
            Some((self.value(&head, n as usize)?.1, id))
        })
    }

    /// Arguments and result of a prototype.
    fn signature(&self, prototype: u32, skip: usize) -> Option<Signature> {
        let head = self.head(prototype).filter(|head| head.kind == Kind::FuncProto)?;
        let mut params = Vec::new();
        for n in skip..head.vlen {
            let (name, ty) = (self.word(&head, n * 2)?, self.word(&head, n * 2 + 1)?);
            // The last one of a variadic function has neither.
            if name == 0 && ty == 0 {
                break;
            }
            params.push(Param { name: self.string(name), ty: TypeId(ty) });
        }
        Some(Signature { params, ret: (head.word != 0).then_some(TypeId(head.word)) })
    }

    /// A function's signature.
    #[must_use]
    pub fn function(&self, name: &str) -> Option<Signature> {
        let function = self.head(self.find(&[Kind::Func], name)?)?;
        self.signature(function.word, 0)
    }

    /// A raw tracepoint's arguments, and the typedef a program is loaded for. The name parameters have is that
    /// of the prototype; kernels that leave it out there have it in `__bpf_trace_NAME`.
    #[must_use]
    pub fn raw_tracepoint(&self, event: &str) -> Option<(Signature, u32)> {
        let id = self.find(&[Kind::Typedef], &format!("btf_trace_{event}"))?;
        let pointer = self.head(self.resolve(id)?).filter(|head| head.kind == Kind::Ptr)?;
        let mut signature = self.signature(self.resolve(pointer.word)?, 1)?;
        if signature.params.iter().any(|param| param.name.is_empty()) {
            for function in ["__bpf_trace_", "__traceiter_", "trace_event_raw_event_", "perf_trace_"] {
                let Some(named) = self.find(&[Kind::Func], &format!("{function}{event}")) else { continue };
                let named = self.head(named).and_then(|head| self.signature(head.word, 1));
                let fits = |s: &Signature| {
                    s.params.len() == signature.params.len() && s.params.iter().all(|p| !p.name.is_empty())
                };
                if let Some(named) = named.filter(fits) {
                    for (param, other) in signature.params.iter_mut().zip(named.params) {
                        param.name = other.name;
                    }
                    break;
                }
            }
        }
        Some((signature, id))
    }
}

fn small(size: u32) -> Option<u8> {
    u8::try_from(size).ok().filter(|size| *size <= 16)
}
