//! `Facts`: everything observed for one question, keyed by fact type and network namespace.
//!
//! A fact may be read twice: when the question starts and when its window closes. Only the
//! difference of the two is evidence for a counter.

use std::any::Any;
use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::reading::Reading;

/// A type of fact: one family, read and stored as a whole.
pub trait Fact: Any + Clone + Serialize + DeserializeOwned + Send + Sync {
    /// The stable name of the family, kebab-case; also its name for `netwhy facts`.
    const KIND: &'static str;
}

/// A network namespace: the device and inode of its nsfs file. `NetnsId::HERE` is the one in question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NetnsId(pub u64);

impl NetnsId {
    /// The namespace the question is asked in.
    pub const HERE: NetnsId = NetnsId(0);
}

trait Stored: Any + Send + Sync {
    fn as_any(&self) -> &dyn Any;
    fn json(&self) -> serde_json::Value;
    fn boxed(&self) -> Box<dyn Stored>;
}

impl<T: Fact> Stored for Reading<T> {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or(serde_json::Value::Null)
    }
    fn boxed(&self) -> Box<dyn Stored> {
        Box::new(self.clone())
    }
}

struct Pair {
    before: Box<dyn Stored>,
    after: Option<Box<dyn Stored>>,
}

/// The store.
#[derive(Default)]
pub struct Facts {
    entries: BTreeMap<(&'static str, NetnsId), Pair>,
    asked: std::sync::Mutex<std::collections::BTreeSet<&'static str>>,
}

impl Clone for Facts {
    fn clone(&self) -> Self {
        let entries = self
            .entries
            .iter()
            .map(|(k, p)| (*k, Pair { before: p.before.boxed(), after: p.after.as_ref().map(|a| a.boxed()) }))
            .collect();
        Self { entries, asked: Default::default() }
    }
}

impl Facts {
    /// An empty store: every fact reads `NotAsked`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stores the reading taken when the question started.
    pub fn put<T: Fact>(&mut self, reading: Reading<T>) {
        self.put_in(NetnsId::HERE, reading);
    }

    /// As `put`, for another namespace.
    pub fn put_in<T: Fact>(&mut self, netns: NetnsId, reading: Reading<T>) {
        self.entries.insert((T::KIND, netns), Pair { before: Box::new(reading), after: None });
    }

    /// Stores the reading taken when the window closed. Without a first reading it becomes the first.
    pub fn put_after<T: Fact>(&mut self, reading: Reading<T>) {
        match self.entries.get_mut(&(T::KIND, NetnsId::HERE)) {
            Some(pair) => pair.after = Some(Box::new(reading)),
            None => self.put(reading),
        }
    }

    /// The first reading of a family, `NotAsked` when it was never collected.
    pub fn get<T: Fact>(&self) -> &Reading<T> {
        self.get_in(NetnsId::HERE)
    }

    /// The first reading of a family in a namespace.
    pub fn get_in<T: Fact>(&self, netns: NetnsId) -> &Reading<T> {
        if let Ok(mut asked) = self.asked.lock() {
            asked.insert(T::KIND);
        }
        self.entries
            .get(&(T::KIND, netns))
            .and_then(|p| p.before.as_any().downcast_ref::<Reading<T>>())
            .unwrap_or(const { &Reading::NotAsked })
    }

    /// The reading taken when the window closed; `NotAsked` when the family was read only once.
    pub fn after<T: Fact>(&self) -> &Reading<T> {
        self.entries
            .get(&(T::KIND, NetnsId::HERE))
            .and_then(|p| p.after.as_ref())
            .and_then(|a| a.as_any().downcast_ref::<Reading<T>>())
            .unwrap_or(const { &Reading::NotAsked })
    }

    /// The newest reading: the one at the close of the window, or the first when there is no other.
    pub fn latest<T: Fact>(&self) -> &Reading<T> {
        match self.after::<T>() {
            Reading::NotAsked => self.get::<T>(),
            other => other,
        }
    }

    /// The value of the first reading, when there is one.
    pub fn value<T: Fact>(&self) -> Option<&T> {
        self.get::<T>().value()
    }

    /// Kinds read through `get` since the store was made; a test holds this against `Cause::needs`.
    pub fn kinds_read(&self) -> Vec<&'static str> {
        self.asked.lock().map(|a| a.iter().copied().collect()).unwrap_or_default()
    }

    /// Forgets which kinds were read.
    pub fn forget_kinds_read(&self) {
        if let Ok(mut asked) = self.asked.lock() {
            asked.clear();
        }
    }

    /// Every fact as JSON: `{kind: {before, after?}}`, namespaces other than this one as `kind@inode`.
    pub fn to_json(&self) -> serde_json::Value {
        let mut out = serde_json::Map::new();
        for ((kind, netns), pair) in &self.entries {
            let key =
                if *netns == NetnsId::HERE { (*kind).to_string() } else { format!("{kind}@{}", netns.0) };
            let mut one = serde_json::Map::new();
            one.insert("before".into(), pair.before.json());
            if let Some(after) = &pair.after {
                one.insert("after".into(), after.json());
            }
            out.insert(key, serde_json::Value::Object(one));
        }
        serde_json::Value::Object(out)
    }

    /// Loads what `to_json` wrote. Unknown kinds are an error that names them: a recording must not lose facts silently.
    pub fn from_json(value: &serde_json::Value) -> Result<Self, RecordingError> {
        let map = value.as_object().ok_or(RecordingError::NotAnObject)?;
        let mut facts = Facts::new();
        for (key, pair) in map {
            let (kind, netns) = match key.split_once('@') {
                Some((k, n)) => {
                    let inode = n.parse().map_err(|_| RecordingError::Namespace(key.clone()))?;
                    (k, NetnsId(inode))
                }
                None => (key.as_str(), NetnsId::HERE),
            };
            let load = crate::KINDS
                .iter()
                .find(|(name, _)| *name == kind)
                .map(|(_, load)| load)
                .ok_or_else(|| RecordingError::UnknownKind(kind.to_string()))?;
            load(&mut facts, netns, pair)
                .map_err(|e| RecordingError::Shape(kind.to_string(), e.to_string()))?;
        }
        Ok(facts)
    }
}

/// Loads the pair of readings of one kind from a recording.
pub fn load_pair<T: Fact>(
    facts: &mut Facts,
    netns: NetnsId,
    pair: &serde_json::Value,
) -> Result<(), serde_json::Error> {
    let before: Reading<T> =
        serde_json::from_value(pair.get("before").cloned().unwrap_or(serde_json::Value::Null))?;
    let after: Option<Reading<T>> = match pair.get("after") {
        Some(a) => Some(serde_json::from_value(a.clone())?),
        None => None,
    };
    facts.entries.insert(
        (T::KIND, netns),
        Pair { before: Box::new(before), after: after.map(|a| Box::new(a) as Box<dyn Stored>) },
    );
    Ok(())
}

/// Why a recording could not be loaded.
#[derive(Debug, PartialEq, Eq)]
pub enum RecordingError {
    /// The document is not a JSON object.
    NotAnObject,
    /// A namespace suffix is not a number: the key.
    Namespace(String),
    /// A kind this build does not know: its name.
    UnknownKind(String),
    /// A fact does not have the expected shape: kind and error.
    Shape(String, String),
}

impl std::fmt::Display for RecordingError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotAnObject => write!(f, "a recording is a JSON object of facts by kind"),
            Self::Namespace(key) => write!(f, "namespace of {key:?} is not a number"),
            Self::UnknownKind(kind) => write!(f, "unknown fact kind {kind:?}"),
            Self::Shape(kind, error) => write!(f, "fact {kind:?}: {error}"),
        }
    }
}

impl std::error::Error for RecordingError {}
