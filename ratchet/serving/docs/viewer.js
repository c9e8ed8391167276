// Starts Swagger UI on the page /docs. The browser asks this service alone: there is no validator and no other document.
SwaggerUIBundle({
  url: "/openapi.json",
  domNode: document.getElementById("viewer"),
  validatorUrl: null,
  queryConfigEnabled: false,
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  requestSnippetsEnabled: true,
});
