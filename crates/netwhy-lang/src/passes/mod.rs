//! The passes between tree and code, in order: [`expand`] (macros, parameters, probes), [`names`], [`infer`].

pub mod calls;
pub(crate) mod comptime;
pub mod expand;
pub mod fields;
pub mod format;
pub mod infer;
mod instead;
pub mod library;
pub mod names;
pub mod points;
pub mod ty;
pub(crate) mod unify;
pub(crate) mod walk;
