//! Snappy blocks: how every message of remote write is compressed.

use snap::raw::{Decoder, Encoder, decompress_len};

/// Most bytes of a message once it is unpacked: 32 MiB, as many as Prometheus takes. Its own requests, of 2,000 samples, have
/// some 500 KiB.
pub const MOST_BYTES: usize = 32 << 20;

/// Why a block cannot be unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BlockError {
    #[error("the body is no Snappy block")]
    Damaged,
    #[error("the body has more than {MOST_BYTES} bytes once it is unpacked")]
    TooLarge,
}

/// Unpacks a block. Its length stands at its beginning, so what is too large is refused before anything is unpacked; and
/// a block that promises more than its bytes can hold is, too: Snappy packs 64 bytes into 3 at best.
pub(super) fn unpack(block: &[u8]) -> Result<Vec<u8>, BlockError> {
    let length = decompress_len(block).map_err(|_| BlockError::Damaged)?;
    if length > MOST_BYTES {
        return Err(BlockError::TooLarge);
    }
    if length > block.len().saturating_mul(64) {
        return Err(BlockError::Damaged);
    }
    Decoder::new().decompress_vec(block).map_err(|_| BlockError::Damaged)
}

/// Packs a message.
#[must_use]
pub fn pack(message: &[u8]) -> Vec<u8> {
    Encoder::new().compress_vec(message).expect("it is shorter than 4 GiB")
}
