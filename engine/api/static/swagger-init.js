// Starts Swagger UI on the page /docs; a ?token= of the page is sent along with the requests tried out on it.
const token = new URLSearchParams(location.search).get("token");
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  requestInterceptor: (request) => {
    if (token) request.headers["X-API-Key"] = token;
    return request;
  },
});
