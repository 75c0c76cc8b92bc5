{{/* Name of everything. */}}
{{- define "gaugecast.fullname" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else }}{{ $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}
{{- end }}

{{- define "gaugecast.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "gaugecast.labels" -}}
{{ include "gaugecast.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "gaugecast.account" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "gaugecast.fullname" .) .Values.serviceAccount.name }}{{ else }}{{ default "default" .Values.serviceAccount.name }}{{ end }}
{{- end }}

{{/* The pod, the same in both modes. */}}
{{- define "gaugecast.pod" -}}
{{- $daemon := eq .Values.mode "daemonset" -}}
metadata:
  labels:
    {{- include "gaugecast.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}{{ toYaml . | nindent 4 }}{{ end }}
  annotations:
    # A new configuration is a new pod.
    checksum/config: {{ toYaml .Values.config | sha256sum }}
    {{- with .Values.podAnnotations }}{{ toYaml . | nindent 4 }}{{ end }}
spec:
  serviceAccountName: {{ include "gaugecast.account" . }}
  automountServiceAccountToken: false
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- if and $daemon .Values.host.network }}
  hostNetwork: true
  dnsPolicy: ClusterFirstWithHostNet
  {{- end }}
  {{- if and $daemon .Values.host.pid }}
  hostPID: true
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65534
    runAsGroup: 65534
    fsGroup: 65534
    seccompProfile:
      type: RuntimeDefault
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  # Streams say goodbye within 5 s, requests in flight within 10.
  terminationGracePeriodSeconds: 20
  containers:
    - name: gaugecast
      image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        - serve
        - --config.file=/etc/gaugecast/gaugecast.yml
        - --web.listen-address=:{{ .Values.port }}
        {{- if .Values.tokenSecret }}
        - --web.token-file=/etc/gaugecast-tokens/tokens
        {{- else }}
        - --web.insecure-no-auth
        {{- end }}
        - --web.allowed-host={{ include "gaugecast.fullname" . }}
        - --web.allowed-host={{ include "gaugecast.fullname" . }}.{{ .Release.Namespace }}.svc
        - --web.allowed-host=$(POD_IP)
        {{- range .Values.allowedHosts }}
        - --web.allowed-host={{ . }}
        {{- end }}
        {{- if and $daemon .Values.host.root }}
        - --path.rootfs=/host
        {{- end }}
        {{- if .Values.storage.enabled }}
        - --storage.path=/var/lib/gaugecast
        {{- end }}
        {{- with .Values.extraArgs }}{{ toYaml . | nindent 8 }}{{ end }}
      env:
        - name: POD_IP
          valueFrom:
            fieldRef:
              fieldPath: status.podIP
        {{- with .Values.extraEnv }}{{ toYaml . | nindent 8 }}{{ end }}
      ports:
        - name: http
          containerPort: {{ .Values.port }}
          protocol: TCP
      # The page, /metrics and the stream may ask for a token; these two never do.
      startupProbe:
        httpGet: &ready
          path: /-/ready
          port: http
        periodSeconds: 1
        failureThreshold: 60
      readinessProbe:
        httpGet: *ready
        periodSeconds: 5
      livenessProbe:
        httpGet:
          path: /-/healthy
          port: http
        periodSeconds: 10
        failureThreshold: 3
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      resources: {{ toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        - name: config
          mountPath: /etc/gaugecast
          readOnly: true
        {{- if .Values.tokenSecret }}
        - name: tokens
          mountPath: /etc/gaugecast-tokens
          readOnly: true
        {{- end }}
        {{- if and $daemon .Values.host.root }}
        - name: root
          mountPath: /host
          readOnly: true
          mountPropagation: HostToContainer
        {{- end }}
        {{- if .Values.storage.enabled }}
        - name: storage
          mountPath: /var/lib/gaugecast
        {{- end }}
        {{- with .Values.extraVolumeMounts }}{{ toYaml . | nindent 8 }}{{ end }}
  volumes:
    - name: config
      configMap:
        name: {{ include "gaugecast.fullname" . }}
    {{- if .Values.tokenSecret }}
    - name: tokens
      secret:
        secretName: {{ .Values.tokenSecret }}
    {{- end }}
    {{- if and $daemon .Values.host.root }}
    - name: root
      hostPath:
        path: /
        type: Directory
    {{- end }}
    {{- if .Values.storage.enabled }}
    - name: storage
      {{- if $daemon }}
      hostPath:
        path: {{ .Values.storage.hostPath }}
        type: DirectoryOrCreate
      {{- else }}
      persistentVolumeClaim:
        claimName: {{ include "gaugecast.fullname" . }}
      {{- end }}
    {{- end }}
    {{- with .Values.extraVolumes }}{{ toYaml . | nindent 4 }}{{ end }}
  {{- with .Values.nodeSelector }}
  nodeSelector: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity: {{ toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
