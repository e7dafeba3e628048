//! The passes between tree and code, in order: [`expand`] (macros, parameters, probes), [`names`], [`infer`].

pub mod calls;
pub mod expand;
pub mod fields;
pub mod format;
pub mod infer;
mod instead;
pub mod names;
pub mod points;
pub mod ty;
pub(crate) mod walk;
