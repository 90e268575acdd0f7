//! `/docs`, `/redoc` and `/openapi.json`: the routes, to read and to try.

use super::{
    RouteDoc, assets,
    document::{Caching, Document},
    openapi,
};
use crate::types::Reply;
use http::HeaderMap;
use std::sync::LazyLock;

/// The pages with all that they load. Nothing comes from another host.
#[derive(Debug)]
pub struct Docs {
    openapi: OpenApi,
    swagger: Document,
    redoc: Document,
}

/// Made when somebody asks for it, once: that of 10,000 routes has 58 MB, which no reload should have to write.
type OpenApi = LazyLock<Document, Box<dyn FnOnce() -> Document + Send>>;

impl Docs {
    /// Make the pages for these routes.
    pub fn build(name: &str, version: &str, routes: Vec<RouteDoc>) -> Self {
        let (title, release) = (name.to_owned(), version.to_owned());
        let openapi = move || {
            let document = openapi::document(&title, &release, &routes);
            Document::text("application/json", Caching::Ask, document)
        };
        let html = |body| Document::text("text/html; charset=utf-8", Caching::Ask, body);
        Self {
            openapi: LazyLock::new(Box::new(openapi)),
            swagger: html(swagger(&escaped(name))),
            redoc: html(redoc(&escaped(name))),
        }
    }

    /// The answer, if `path` is one of these pages or something they load.
    pub fn answer(&self, path: &str, headers: &HeaderMap) -> Option<Reply> {
        let document = match path {
            "/openapi.json" => &self.openapi,
            "/docs" | "/docs/" => &self.swagger,
            "/redoc" | "/redoc/" => &self.redoc,
            _ => assets::find(path)?,
        };
        Some(document.answer(headers))
    }
}

fn swagger(name: &str) -> String {
    let styles = ["/docs/swagger-ui.css", "/docs/page.css"];
    page(name, "/docs/favicon.svg", &styles, &["/docs/swagger-ui-bundle.js", "/docs/init.js"])
}

fn redoc(name: &str) -> String {
    page(name, "/redoc/favicon.svg", &["/docs/page.css"], &["/redoc/redoc.standalone.js", "/redoc/init.js"])
}

/// The page around a tool. Without scripts there is the document itself.
fn page(name: &str, icon: &str, styles: &[&str], scripts: &[&str]) -> String {
    let style = |path: &&str| format!("<link rel=\"stylesheet\" href=\"{}\">\n", assets::versioned(path));
    let script = |path: &&str| format!("<script src=\"{}\"></script>\n", assets::versioned(path));
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{name}</title>\n\
         <link rel=\"icon\" type=\"image/svg+xml\" href=\"{}\">\n{}</head>\n<body>\n<div id=\"docs\"></div>\n\
         <noscript>This page needs JavaScript. What it shows is at <a href=\"/openapi.json\">/openapi.json</a>.\
         </noscript>\n{}</body>\n</html>\n",
        assets::versioned(icon),
        styles.iter().map(style).collect::<String>(),
        scripts.iter().map(script).collect::<String>(),
    )
}

/// The name comes from the operator's file and stands in a page.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderValue, header};

    fn docs() -> Docs {
        Docs::build("A <b> & \"c\"", "1.2.3", Vec::new())
    }

    fn text(docs: &Docs, path: &str) -> String {
        let reply = docs.answer(path, &HeaderMap::new()).unwrap_or_else(|| panic!("no {path}"));
        String::from_utf8(reply.body.to_vec()).unwrap()
    }

    #[test]
    fn each_path_has_its_type_and_its_guards() {
        let html = "text/html; charset=utf-8";
        for (path, content_type, caching) in [
            ("/docs", html, "no-cache"),
            ("/docs/", html, "no-cache"),
            ("/redoc", html, "no-cache"),
            ("/redoc/", html, "no-cache"),
            ("/openapi.json", "application/json", "no-cache"),
            ("/docs/swagger-ui-bundle.js", "text/javascript; charset=utf-8", "public, max-age=86400"),
            ("/docs/swagger-ui.css", "text/css; charset=utf-8", "public, max-age=86400"),
            ("/redoc/redoc.standalone.js", "text/javascript; charset=utf-8", "public, max-age=86400"),
            ("/redoc/favicon.svg", "image/svg+xml; charset=utf-8", "public, max-age=86400"),
        ] {
            let reply = docs().answer(path, &HeaderMap::new()).unwrap();
            for (name, value) in [
                (header::CONTENT_TYPE, content_type),
                (header::CACHE_CONTROL, caching),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
                (header::X_FRAME_OPTIONS, "DENY"),
            ] {
                assert!(reply.headers.contains(&(name.clone(), HeaderValue::from_static(value))), "{path}: {name}");
            }
            let policies = reply.headers.iter().filter(|(name, _)| name == header::CONTENT_SECURITY_POLICY);
            let policies: Vec<&str> = policies.map(|(_, value)| value.to_str().unwrap()).collect();
            assert!(
                matches!(policies[..], [one] if one.starts_with("default-src 'none'; script-src 'self';")),
                "{path}"
            );
        }
    }

    #[test]
    fn what_is_not_there_is_not_answered() {
        for path in
            ["/docs/x", "/docs/index.html", "/docsx", "/redoc/swagger-ui.css", "/redoc//", "/openapi.json/", "/"]
        {
            assert!(docs().answer(path, &HeaderMap::new()).is_none(), "{path}");
        }
    }

    #[test]
    fn everything_a_page_names_is_served() {
        let docs = docs();
        for page in ["/docs", "/redoc"] {
            let html = text(&docs, page);
            let attributes = ["src=\"", "href=\""].into_iter().flat_map(|attribute| html.split(attribute).skip(1));
            let named: Vec<&str> = attributes.map(|rest| rest.split('"').next().unwrap()).collect();
            assert!(named.len() >= 5, "{page}: {named:?}");
            for url in named {
                assert!(url.starts_with('/') && !url.starts_with("//"), "{page}: {url} is of another host");
                assert!(!text(&docs, url.split('?').next().unwrap()).is_empty(), "{page}: {url}");
            }
        }
    }

    #[test]
    fn the_name_of_the_gateway_cannot_be_markup() {
        for page in ["/docs", "/redoc"] {
            let html = text(&docs(), page);
            assert!(html.contains("<title>A &lt;b&gt; &amp; &quot;c&quot;</title>"), "{html}");
        }
    }
}
