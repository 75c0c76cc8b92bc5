//! The page and what belongs to it, and the client for other pages, from the binary.
//!
//! The files of `web/dist` are part of the program; no request ever reaches a disk. Each is named with its hash
//! as a strong ETag and may be stored but is asked for again each time (`no-cache`), so that a new version of
//! the server shows its own page at once and an unchanged one costs a 304.

use std::hash::{DefaultHasher, Hasher};
use std::io::Write;
use std::sync::LazyLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Response, StatusCode};

use super::body::Body;
use super::headers;
use super::problem::Problem;

/// A file that is part of the program.
#[derive(Debug)]
pub(super) struct File {
    /// Under which path it is served.
    pub(super) path: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

/// A file of `web/dist` under its own name.
macro_rules! file {
    ($name:literal, $content_type:literal) => {
        File {
            path: concat!("/", $name),
            content_type: $content_type,
            bytes: include_bytes!(concat!("../../web/dist/", $name)),
        }
    };
}

/// A script of `web/dist`.
macro_rules! script {
    ($name:literal) => {
        file!($name, "text/javascript; charset=utf-8")
    };
}

/// All files: the page's with the runbooks to which alerts lead, of which most of its parts are fetched when somebody goes there; and `client.js` and `gauge-cast.js`, which
/// pages of others load (`docs/client.md`).
pub(super) const FILES: [File; 21] = [
    File {
        path: "/",
        content_type: "text/html; charset=utf-8",
        bytes: include_bytes!("../../web/dist/index.html"),
    },
    File {
        path: "/runbooks",
        content_type: "text/html; charset=utf-8",
        bytes: include_bytes!("../../web/dist/runbooks.html"),
    },
    file!("app.css", "text/css; charset=utf-8"),
    file!("icon.svg", "image/svg+xml"),
    script!("app.js"),
    script!("format.js"),
    script!("hooks.js"),
    script!("parts.js"),
    script!("admin.js"),
    script!("alerts.js"),
    script!("baselines.js"),
    script!("boards.js"),
    script!("clients.js"),
    script!("metric.js"),
    script!("operations.js"),
    script!("query.js"),
    script!("reports.js"),
    script!("yaml.js"),
    script!("theme.js"),
    script!("client.js"),
    script!("gauge-cast.js"),
];

/// A file as it is sent.
#[derive(Debug)]
struct Asset {
    content_type: &'static str,
    plain: Variant,
    /// Packed, where that is smaller.
    gzip: Option<Variant>,
}

#[derive(Debug)]
struct Variant {
    bytes: Bytes,
    etag: HeaderValue,
}

/// [`FILES`], ready to be sent, in their order. They are packed when first asked for: together that takes some
/// milliseconds, which the start should not.
static ASSETS: LazyLock<[Asset; FILES.len()]> = LazyLock::new(|| FILES.map(Asset::new));

/// Answers a request for one of the files; whatever stands before its path is the route prefix.
pub(super) fn answer(parts: &Parts) -> Result<Response<Body>, Problem> {
    let path = parts.uri.path();
    let named = FILES.iter().position(|file| file.path != "/" && path.ends_with(file.path));
    Ok(ASSETS[named.unwrap_or(0)].answer(&parts.headers))
}

impl Asset {
    fn new(File { path: _, content_type, bytes }: File) -> Self {
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        let packed = packer.write_all(bytes).and_then(|()| packer.finish());
        let gzip = packed.ok().filter(|packed| packed.len() < bytes.len());
        Asset {
            content_type,
            plain: Variant::new(Bytes::from_static(bytes)),
            gzip: gzip.map(|packed| Variant::new(packed.into())),
        }
    }

    /// The answer to a GET with these headers.
    fn answer(&self, request: &HeaderMap) -> Response<Body> {
        let packed = self.gzip.as_ref().filter(|_| headers::accepts_gzip(request));
        let variant = packed.unwrap_or(&self.plain);
        let mut response = Response::new(Body::empty());
        let to = response.headers_mut();
        to.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        to.insert(ETAG, variant.etag.clone());
        headers::vary(to, "Accept-Encoding");
        if variant.etag.to_str().is_ok_and(|etag| headers::unchanged(request, etag)) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        to.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        if packed.is_some() {
            to.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        *response.body_mut() = Body::from(variant.bytes.clone());
        response
    }
}

impl Variant {
    fn new(bytes: Bytes) -> Self {
        // The same for the same bytes in the same program, which is all an ETag must be.
        let mut hash = DefaultHasher::new();
        hash.write(&bytes);
        let etag = format!("\"{:016x}\"", hash.finish());
        Variant { bytes, etag: HeaderValue::try_from(etag).expect("hex digits and quotes are visible") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_and_packing_has_its_own_etag() {
        let variants = ASSETS.iter().flat_map(|asset| [Some(&asset.plain), asset.gzip.as_ref()]);
        let mut tags: Vec<_> = variants.flatten().map(|variant| variant.etag.as_bytes()).collect();
        let all = tags.len();
        tags.sort_unstable();
        tags.dedup();
        assert_eq!(tags.len(), all);
    }

    #[test]
    fn the_packed_file_is_the_file() {
        for (asset, file) in ASSETS.iter().zip(&FILES) {
            let Some(packed) = &asset.gzip else { continue };
            let mut plain = Vec::new();
            std::io::copy(&mut flate2::read::GzDecoder::new(&packed.bytes[..]), &mut plain).expect("gzip");
            assert_eq!(plain, file.bytes, "{}", file.path);
        }
    }
}
