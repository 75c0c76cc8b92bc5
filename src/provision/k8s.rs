//! Kubernetes. There is none yet: a part without files is not offered by `gaugecast provision`.

use super::{File, Options};

pub(super) fn files(_: &Options) -> Vec<File> {
    Vec::new()
}
