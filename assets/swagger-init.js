// Starts Swagger UI. A file, because the page's Content-Security-Policy allows no script inside it.
window.ui = SwaggerUIBundle({
    url: "/openapi.json",
    dom_id: "#docs",
    deepLinking: true,
    displayRequestDuration: true,
    filter: true,
    defaultModelsExpandDepth: 0,
    docExpansion: "list",
    // Nothing is asked of another host: no badge of a validator.
    validatorUrl: null,
    presets: [SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
});
