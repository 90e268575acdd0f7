// Starts ReDoc. A file, because the page's Content-Security-Policy allows no script inside it.
Redoc.init(
    "/openapi.json",
    {
        hideDownloadButton: false,
        nativeScrollbars: true,
        pathInMiddlePanel: true,
        sanitize: true,
        sideNavStyle: "path-only",
        theme: {
            typography: {
                fontFamily: "system-ui, sans-serif",
                headings: { fontFamily: "system-ui, sans-serif" },
                code: { fontFamily: "ui-monospace, monospace" },
            },
        },
    },
    document.getElementById("docs"),
);
