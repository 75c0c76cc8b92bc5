//! The series table: what exists, what it is worth now, and since when.
//!
//! - [`Key`](key) is the identity of a series as text, `name{label="value"}`.
//! - [`Table`] is the one mutable place. Sources write pages into it, [`Table::commit`] closes a tick.
//! - [`Tick`] is what a commit gives out: immutable, shared by `Arc`, read by everything downstream.
//! - [`Schema`] is the part of a tick that changes only when series come or go.
//! - [`Selector`] picks series by PromQL label matchers.
//!
//! Nothing here does I/O or asks for the time.

pub mod key;
mod schema;
pub mod selector;
mod table;
mod tick;

pub use schema::{Family, FamilyMeta, Kind, Role, Schema, Scope, Series, SourceId};
pub use selector::Selector;
pub use table::{Applied, Mapping, Refused, Slot, Table};
pub use tick::{Epoch, Exemplar, NO_TIME, NativeHistogram, Tick, Tombstone, native_key};
