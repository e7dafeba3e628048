//! Records and tables of a script as values, for a program that reads them instead of a person.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netwhy_lang::program::{Part, Shape};

use crate::value::{Reader, part, u32_at, u64_at};

/// One value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Value {
    /// There is none: an address of no family, a stack that could not be had.
    #[default]
    Absent,
    /// A signed number.
    Int(i64),
    /// An unsigned number, or an address of memory.
    Uint(u64),
    /// A truth value.
    Bool(bool),
    /// Bytes of `buf`.
    Bytes(Vec<u8>),
    /// Text, without what could move a terminal's cursor.
    Text(String),
    /// Of an enumeration: its number, and its name where the kernel has one for it.
    Enum(i64, Option<String>),
    /// An address; one of IPv4 inside of IPv6 is shown as what it is.
    Addr(IpAddr),
    /// A symbol and the offset in it for each frame, innermost first.
    Stack(Vec<String>),
    /// Parts of a tuple (no names) or of a record.
    Parts(Vec<(String, Value)>),
}

impl Value {
    /// As a number.
    #[must_use]
    pub fn number(&self) -> Option<i128> {
        match self {
            Value::Int(n) | Value::Enum(n, _) => Some((*n).into()),
            Value::Uint(n) => Some((*n).into()),
            Value::Bool(b) => Some((*b).into()),
            _ => None,
        }
    }

    /// A part of it by name, several steps apart by dots.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Value> {
        let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
        let Value::Parts(parts) = self else { return None };
        let found = match name.parse::<usize>() {
            Ok(at) => parts.get(at),
            Err(_) => parts.iter().find(|(known, _)| known == name),
        };
        let (_, found) = found?;
        rest.map_or(Some(found), |rest| found.get(rest))
    }

    /// As a value of JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        match self {
            Value::Absent => serde_json::Value::Null,
            Value::Int(n) | Value::Enum(n, None) => (*n).into(),
            Value::Uint(n) => (*n).into(),
            Value::Bool(b) => (*b).into(),
            Value::Text(text) | Value::Enum(_, Some(text)) => text.as_str().into(),
            Value::Addr(addr) => addr.to_string().into(),
            Value::Stack(frames) => frames.as_slice().into(),
            Value::Bytes(bytes) => bytes.iter().map(|b| format!("{b:02x}")).collect::<String>().into(),
            Value::Parts(parts) if parts.iter().any(|(name, _)| !name.is_empty()) => {
                parts.iter().map(|(name, value)| (name.clone(), value.json())).collect()
            }
            Value::Parts(parts) => parts.iter().map(|(_, value)| value.json()).collect(),
        }
    }
}

/// A record of `emit(name, {..})`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// What the script calls it.
    pub name: &'a str,
    /// Fields in the order of the script.
    pub fields: Vec<(&'a str, Value)>,
}

impl Record<'_> {
    /// A field by name, several steps apart by dots (`flow.saddr`).
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Value> {
        let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
        let (_, found) = self.fields.iter().find(|(known, _)| *known == name)?;
        rest.map_or(Some(found), |rest| found.get(rest))
    }
}

/// A map of the script with its rows: key (absent for a scalar) and value. A histogram's value has the bounds of
/// each bucket that counted something (`from` and `to`, absent at an open end) and its `count`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table<'a> {
    /// Name without `@`.
    pub name: &'a str,
    /// Rows, smallest values first.
    pub rows: Vec<(Value, Value)>,
}

/// Who takes what a script says, in the place of standard output.
pub trait Sink {
    /// A record of `emit`.
    fn record(&mut self, record: Record<'_>) -> std::io::Result<()>;
    /// `print(@map)`.
    fn table(&mut self, table: Table<'_>) -> std::io::Result<()>;
    /// Text of `printf` and the other functions that print.
    fn text(&mut self, text: &str) -> std::io::Result<()>;
    /// All there was has been delivered; the run is about to wait.
    fn rest(&mut self) -> std::io::Result<()> {
        Ok(())
    }
    /// Whether the run should end.
    fn done(&self) -> bool {
        false
    }
}

impl Reader<'_> {
    /// Bytes of a shape as a value.
    pub(crate) fn value(&self, shape: &Shape, bytes: &[u8]) -> Value {
        let word = u64_at(bytes, 0);
        match shape {
            Shape::Int { signed: true } => Value::Int(word as i64),
            Shape::Int { signed: false } | Shape::Ptr => Value::Uint(word),
            Shape::Bool => Value::Bool(word != 0),
            Shape::Enum { values } => {
                let name = values.iter().find(|(_, value)| *value == word as i64);
                Value::Enum(word as i64, name.map(|(name, _)| name.clone()))
            }
            Shape::Inet => {
                let rest = bytes.get(4..).unwrap_or_default();
                match (u32_at(bytes, 0), rest.first_chunk::<4>(), rest.first_chunk::<16>()) {
                    (2, Some(four), _) => Value::Addr(Ipv4Addr::from(*four).into()),
                    (10, _, Some(sixteen)) => {
                        Value::Addr(IpAddr::V6(Ipv6Addr::from(*sixteen)).to_canonical())
                    }
                    _ => Value::Absent,
                }
            }
            Shape::Buf { .. } => {
                let length = u32_at(bytes, 0) as usize;
                let rest = bytes.get(4..).unwrap_or_default();
                Value::Bytes(rest.get(..length).unwrap_or(rest).to_vec())
            }
            Shape::Kstack { depth, .. } => match self.frames(word, *depth) {
                Some(frames) => {
                    Value::Stack(frames.into_iter().map(|at| self.symbols.show(at, true)).collect())
                }
                None => Value::Absent,
            },
            Shape::Ustack { depth, .. } => match self.frames(word, *depth) {
                Some(frames) => {
                    let pid = u32_at(bytes, 8);
                    Value::Stack(frames.into_iter().map(|at| self.user_frame(pid, at)).collect())
                }
                None => Value::Absent,
            },
            Shape::Tuple { parts, .. } => Value::Parts(
                parts.iter().map(|p| (p.name.clone(), self.value(&p.shape, part(bytes, p)))).collect(),
            ),
            Shape::Array { elem, len } => {
                let size = elem.size().max(1) as usize;
                let all = bytes.chunks(size).take(*len as usize);
                Value::Parts(all.map(|one| (String::new(), self.value(elem, one))).collect())
            }
            other => Value::Text(self.text(other, bytes)),
        }
    }

    /// The fields of a record.
    pub(crate) fn record<'p>(&self, name: &'p str, fields: &'p [Part], bytes: &[u8]) -> Record<'p> {
        let value = |p: &'p Part| (p.name.as_str(), self.value(&p.shape, part(bytes, p)));
        Record { name, fields: fields.iter().map(value).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbols::Symbols;
    use crate::users::Users;

    fn int(name: &str, offset: u32) -> Part {
        Part { name: name.to_owned(), offset, shape: Shape::Int { signed: false } }
    }

    #[test]
    fn a_record_is_read_by_the_names_of_its_fields() {
        let symbols = Symbols::from_text(String::new());
        let reader =
            Reader { symbols: &symbols, users: &Users::new(), stacks: None, strlen: 1024, trailer: ".." };
        let inner = Shape::Tuple {
            size: 32,
            parts: vec![Part { name: "addr".into(), offset: 0, shape: Shape::Inet }, int("port", 24)],
        };
        let fields = [int("pid", 0), Part { name: "flow".into(), offset: 8, shape: inner }];
        let mut bytes = vec![0; 40];
        bytes[0] = 7;
        bytes[8] = 10;
        // ::ffff:192.0.2.1
        bytes[22..28].copy_from_slice(&[0xff, 0xff, 192, 0, 2, 1]);
        bytes[32] = 53;
        let record = reader.record("one", &fields, &bytes);
        assert_eq!(record.get("pid"), Some(&Value::Uint(7)));
        assert_eq!(record.get("flow.addr"), Some(&Value::Addr([192, 0, 2, 1].into())));
        assert_eq!(record.get("flow.port").and_then(Value::number), Some(53));
        assert_eq!(record.get("flow.none"), None);
        assert_eq!(
            record.get("flow").map(|flow| flow.json().to_string()).as_deref(),
            Some(r#"{"addr":"192.0.2.1","port":53}"#)
        );
    }

    #[test]
    fn a_record_cut_short_is_read_as_far_as_it_goes() {
        let symbols = Symbols::from_text(String::new());
        let reader =
            Reader { symbols: &symbols, users: &Users::new(), stacks: None, strlen: 1024, trailer: ".." };
        let fields = [int("a", 0), Part { name: "b".into(), offset: 8, shape: Shape::Inet }];
        assert_eq!(reader.record("r", &fields, &[1, 2, 3]).get("b"), Some(&Value::Absent));
    }
}
