//! What the pages load, as it comes with the binary. `assets/README.md` says whose it is.

use super::document::{Caching, Document};
use std::sync::LazyLock;

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml; charset=utf-8";

/// Path and content. A constant of the binary, that is tagged at the first use and unpacked where somebody asks.
static ASSETS: LazyLock<[(&str, Document); 8]> = LazyLock::new(|| {
    let packed = |content_type, gzip| Document::packed(content_type, Caching::Day, gzip);
    let text = |content_type, text: &'static str| Document::text(content_type, Caching::Day, text);
    [
        ("/docs/swagger-ui-bundle.js", packed(JAVASCRIPT, include_bytes!("../../assets/swagger-ui-bundle.js.gz"))),
        ("/docs/swagger-ui.css", packed(CSS, include_bytes!("../../assets/swagger-ui.css.gz"))),
        ("/docs/init.js", text(JAVASCRIPT, include_str!("../../assets/swagger-init.js"))),
        ("/docs/page.css", text(CSS, include_str!("../../assets/page.css"))),
        ("/docs/favicon.svg", text(SVG, include_str!("../../assets/favicon.svg"))),
        ("/redoc/redoc.standalone.js", packed(JAVASCRIPT, include_bytes!("../../assets/redoc.standalone.js.gz"))),
        ("/redoc/init.js", text(JAVASCRIPT, include_str!("../../assets/redoc-init.js"))),
        ("/redoc/favicon.svg", text(SVG, include_str!("../../assets/favicon.svg"))),
    ]
});

/// The asset of this path.
pub(super) fn find(path: &str) -> Option<&'static Document> {
    ASSETS.iter().find(|(known, _)| *known == path).map(|(_, asset)| asset)
}

/// How a page names the asset: browsers that keep an older one ask for this.
pub(super) fn versioned(path: &str) -> String {
    format!("{path}?v={}", find(path).map_or("", Document::version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;

    #[test]
    fn every_asset_unpacks_and_names_no_source_map() {
        for (path, asset) in ASSETS.iter() {
            let reply = asset.answer(&HeaderMap::new());
            let text = std::str::from_utf8(&reply.body).unwrap();
            assert!(text.len() > 100 && !text.contains("\n//# sourceMappingURL"), "{path}: {} bytes", text.len());
            assert_eq!(asset.version().len(), 16, "{path}");
        }
        let bundle = find("/docs/swagger-ui-bundle.js").unwrap().answer(&HeaderMap::new());
        assert!(bundle.body.len() > 1_000_000, "{}", bundle.body.len());
    }

    #[test]
    fn nothing_is_loaded_from_another_host() {
        for (path, asset) in ASSETS.iter() {
            let reply = asset.answer(&HeaderMap::new());
            let text = std::str::from_utf8(&reply.body).unwrap();
            for foreign in ["src:\"http", "src=\"http", "url(http", "url(\"http", "@import", "fonts.googleapis", "cdn."]
            {
                assert!(!text.contains(foreign), "{path} names {foreign}");
            }
        }
    }
}
