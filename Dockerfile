# `ipgraft serve` in a container: docs/packaging.md says how to build and start it.
# Debian, not Alpine: the binaries of ONNX Runtime need glibc.
FROM node:20-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json ./
COPY compiler ./compiler
COPY passes ./passes
COPY runtime ./runtime
# onnxruntime-node is a development dependency and an optional peer, so that production installs leave it out.
RUN npm run build && node runtime/package/container/copy-onnxruntime.mjs onnxruntime

FROM node:20-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev
COPY --from=build /app/onnxruntime ./node_modules

FROM node:20-slim
WORKDIR /app
ENV NODE_ENV=production
COPY LICENSE ./
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /app/dist/ipgraft.* ./dist/
# By number, so that Kubernetes can tell that it is not root.
USER 1000:1000
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=600s --retries=3 CMD ["node", "-e", "fetch('http://127.0.0.1:8080/v2/health/ready').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/app/dist/ipgraft.cjs"]
CMD ["serve", "/models", "--host", "0.0.0.0", "--port", "8080"]
