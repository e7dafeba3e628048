//! Tracepoints as tracefs lists them. Where it is not mounted it is opened as a file system that is mounted nowhere:
//! nobody else sees it, and it is gone with this process.

use std::path::PathBuf;
use std::sync::Arc;

use netwhy_lang::types::{Location, RecordField};
use netwhy_sys::mount::Detached;
use netwhy_sys::procfs::Tree;

/// Where tracefs may be mounted.
const PLACES: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// A tracefs.
#[derive(Debug, Clone)]
pub struct Tracefs {
    events: Tree,
    root: Tree,
    /// What keeps one open that is mounted nowhere.
    _held: Option<Arc<Detached>>,
}

impl Tracefs {
    /// The mounted one, or one of our own; `None` without the privilege for either.
    #[must_use]
    pub fn find() -> Option<Self> {
        let mounted = PLACES.iter().map(PathBuf::from).find(|place| place.join("events").is_dir());
        let (place, held) = match mounted {
            Some(place) => (place, None),
            None => {
                let held = Detached::open("tracefs").ok()?;
                (held.path(), Some(Arc::new(held)))
            }
        };
        let events = place.join("events");
        events.is_dir().then(|| Tracefs { events: Tree::at(events), root: Tree::at(place), _held: held })
    }

    /// Functions of the kernel that can be probed (`available_filter_functions`), one a line, modules in brackets;
    /// `None` where the kernel's function tracer does not say.
    #[must_use]
    pub fn functions(&self) -> Option<String> {
        self.root.read("available_filter_functions").ok().filter(|text| !text.is_empty())
    }

    /// Every `category:event`, sorted.
    #[must_use]
    pub fn events(&self) -> Vec<String> {
        let mut all = Vec::new();
        for category in self.events.list("").unwrap_or_default() {
            // ftrace's own records cannot be attached to.
            if category == "ftrace" {
                continue;
            }
            for event in self.events.list(&category).unwrap_or_default() {
                if self.events.exists(format!("{category}/{event}/format")) {
                    all.push(format!("{category}:{event}"));
                }
            }
        }
        all.sort();
        all
    }

    /// Whether an event exists.
    #[must_use]
    pub fn exists(&self, category: &str, event: &str) -> bool {
        plain(category) && plain(event) && self.events.exists(format!("{category}/{event}/format"))
    }

    /// The number to open an event with.
    #[must_use]
    pub fn id(&self, category: &str, event: &str) -> Option<u64> {
        if !plain(category) || !plain(event) {
            return None;
        }
        self.events.value(format!("{category}/{event}/id")).ok()?.trim().parse().ok()
    }

    /// The record's fields.
    #[must_use]
    pub fn format(&self, category: &str, event: &str) -> Option<Vec<RecordField>> {
        if !plain(category) || !plain(event) {
            return None;
        }
        Some(parse_format(&self.events.read(format!("{category}/{event}/format")).ok()?))
    }
}

fn plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains('/')
}

/// Reads the lines `field:TYPE NAME; offset:N; size:N; signed:N;` of a format file.
#[must_use]
pub fn parse_format(text: &str) -> Vec<RecordField> {
    text.lines().filter_map(|line| field(line.trim().strip_prefix("field:")?)).collect()
}

fn field(line: &str) -> Option<RecordField> {
    let mut parts = line.split(';').map(str::trim);
    let declaration = parts.next()?;
    let mut number = |key: &str| parts.next()?.strip_prefix(key)?.strip_prefix(':')?.parse::<u32>().ok();
    let (offset, size) = (number("offset")?, number("size")?);
    let signed = number("signed").unwrap_or(0) != 0;
    let (location, declaration) = match declaration.split_once(' ') {
        Some(("__data_loc", rest)) => (Location::DataLoc, rest),
        Some(("__rel_loc", rest)) => (Location::RelLoc, rest),
        _ => (Location::Inline, declaration),
    };
    // What separates the two belongs to the type when it is a star.
    let cut = declaration.rfind([' ', '*'])? + 1;
    let (kind, name) = declaration.split_at(cut);
    let (name, mut array) = match name.split_once('[') {
        Some((name, length)) => (name, Some(length.trim_end_matches(']').parse().unwrap_or(size))),
        None => (name, None),
    };
    let mut kind = kind.to_owned();
    if let Some(at) = kind.find('[') {
        kind.truncate(at);
        array = array.or(Some(0));
    }
    Some(RecordField {
        name: name.to_owned(),
        c_type: kind.trim().to_owned(),
        offset,
        size,
        signed,
        array,
        location,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_all_sorts() {
        let fields = parse_format(
            "name: x\nID: 7\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\
             \tfield:const void * skaddr;\toffset:8;\tsize:8;\tsigned:0;\n\
             \tfield:char comm[16];\toffset:16;\tsize:16;\tsigned:0;\n\
             \tfield:__data_loc char[] name;\toffset:32;\tsize:4;\tsigned:0;\n\
             \tfield:int err;\toffset:36;\tsize:4;\tsigned:1;\n\nprint fmt: \"%d\", REC->err\n",
        );
        let short: Vec<_> =
            fields.iter().map(|f| (f.name.as_str(), f.c_type.as_str(), f.array, f.location)).collect();
        assert_eq!(
            short,
            [
                ("common_type", "unsigned short", None, Location::Inline),
                ("skaddr", "const void *", None, Location::Inline),
                ("comm", "char", Some(16), Location::Inline),
                ("name", "char", Some(0), Location::DataLoc),
                ("err", "int", None, Location::Inline),
            ]
        );
        assert!(fields[4].signed && fields[4].offset == 36);
    }

    #[test]
    fn damaged_lines_are_left_out() {
        assert!(parse_format("field:;;;\nfield:int\nfield:int x; offset:z; size:4;\nfield:x y;").is_empty());
    }
}
