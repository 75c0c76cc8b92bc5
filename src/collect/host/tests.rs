//! Tests of all collectors together.
use super::*;
