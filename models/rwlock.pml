/* The lock of a tensor (src/tensor/lock.c): readers' marks, a writer that drains and may give up at its deadline, poison, repair by
   whoever waits, the epoch of the lock word as the version of a snapshot (-DEPSEQ; without it an odd/even version).

   N processes, ROUNDS operations each (read, snapshot, write), MAXC kills before any step, also in a repair. -DTMO=0 -DMAXC=0:
   without time-outs, so a lost wake-up is a deadlock.
   MUT: 1 giving up clears DIRTY; 3 marked consistent without the lock and
   the epoch; 4 giving up wakes nobody; 5 a refused locker clears DIRTY; 6 the word is looked at before the mark only; 7 a snapshot
   ignores DIRTY (with -DEPSEQ). */
#ifndef N
#define N 3
#endif
#ifndef MAXC
#define MAXC 1
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef TMO
#define TMO 1
#endif
#ifndef MUT
#define MUT 0
#endif
byte own=0; bool dirty=0, wt=0; byte ep=0, actv=255, drain=0, ver=0;
bool R[N]; bool dead[N], kill[N], inw[N], inr[N], qo[N], qd[N]; byte bl[N]; bool torn=0; byte ncrash=0; byte fin=0;
#define EPM 8
#define DRM 4
#define VM 8
#define ZERO s_own=0;s_ep=0;s_act=0;dr=0;i=0;wi=0;busy=0;v=0;s_dirty=0;s_wt=0;ok=0;rec=0;v0=0;t0=0
inline wake_own(){ d_step{ wi=0; do :: wi<N -> qo[wi]=0; wi++ :: else -> break od; wi=0 } }
inline wake_dr(){ d_step{ wi=0; do :: wi<N -> qd[wi]=0; wi++ :: else -> break od; wi=0 } }
inline loadw(){ d_step{ s_own=own; s_dirty=dirty; s_wt=wt; s_ep=ep } }
inline repair(s){
  loadw();
  do :: s_own==s+1 -> s_act=actv; v0=ver;
        d_step{ if :: (own==s_own && dirty==s_dirty && wt==s_wt && ep==s_ep) -> own=0; wt=0; dirty=(s_dirty || (s_act==s_ep && (v0%2==1))); ep=(ep+1)%EPM; ok=1 :: else -> s_own=own; s_dirty=dirty; s_wt=wt; s_ep=ep; ok=0 fi };
        if :: ok -> wake_own(); break :: else fi
     :: else -> break od;
  if :: R[s]!=0 -> R[s]=0; drain=(drain+1)%DRM; wake_dr() :: else fi }
inline probe(s0){ v=s0; if :: (v!=me && dead[v]) -> d_step{ if :: (bl[v]==0 || dead[bl[v]-1]) -> bl[v]=me+1; ok=1 :: else -> ok=0 fi };
        if :: ok -> repair(v); bl[v]=0 :: else fi :: else fi }
inline wait_owner(){
  if :: !s_wt -> d_step{ if :: (own==s_own && dirty==s_dirty && wt==0 && ep==s_ep) -> wt=1; s_wt=1; ok=1 :: else -> ok=0 fi } :: else -> ok=1 fi;
  if :: ok -> d_step{ if :: (own==s_own && dirty==s_dirty && wt==s_wt) -> qo[me]=1 :: else fi };
       if :: qo[me]==0 -> skip :: (TMO && qo[me]) -> qo[me]=0; probe(s_own-1) fi
     :: else fi }
inline rel(newdirty,wk){ d_step{ s_wt=wt; own=0; wt=0; dirty=newdirty }; if :: (s_wt && wk) -> wake_own() :: else fi }
inline chk(){ i=0; do :: i<N -> assert(i==me || dead[i] || kill[i] || !inw[i]); i++ :: else -> break od; i=0 }
inline chkr(){ i=0; do :: i<N -> assert(i==me || dead[i] || kill[i] || (!inw[i] && !inr[i])); i++ :: else -> break od; i=0 }
inline unmark(){ R[me]=0; loadw(); if :: (s_own!=0 && actv!=s_ep) -> d_step{drain=(drain+1)%DRM}; wake_dr() :: else fi }
proctype P(byte me){ byte s_own,s_ep,s_act,dr,i,wi,busy,rnd,v,v0; bool s_dirty,s_wt,ok,rec,t0;
 { rnd=0;
 do :: rnd<ROUNDS -> d_step{ rnd++; ZERO };
   if
   :: (MUT!=3) -> skip;
rd:   skip; d_step{ ZERO; s_own=own; s_dirty=dirty; s_wt=wt; s_ep=ep };
      if :: s_own!=0 -> wait_owner(); goto rd :: else fi;
      R[me]=1;
#if MUT!=6
      loadw();
#endif
      if :: s_own==0 -> d_step{ inr[me]=1; chk() };
            if :: s_dirty -> skip  /* refused: WriterDiedError, lock not held */
               :: else -> assert(!torn); assert(!torn) fi;
            inr[me]=0; unmark()
         :: else -> unmark(); if :: s_own!=0 -> wait_owner() :: else fi; goto rd fi
   :: (MUT!=3) -> skip; /* snapshot */
#ifdef EPSEQ
      loadw(); if :: (s_own==0 && (!s_dirty || MUT==7)) -> t0=torn; d_step{ if :: (ep==s_ep) -> assert(!t0) :: else fi; ZERO } :: else -> s_own=0 fi
#else
      v0=ver; if :: v0%2==0 -> t0=torn; d_step{ if :: ver==v0 -> assert(!t0) :: else fi; ZERO } :: else -> v0=0 fi
#endif
#if MUT==3
   :: (me==N-1) -> dirty; d_step{ t0=torn }; if :: !t0 -> dirty=0; if :: ver%2==1 -> ver=(ver+1)%VM :: else fi :: else fi; t0=0; v0=ver; if :: v0%2==0 -> t0=torn; d_step{ if :: ver==v0 -> assert(!t0) :: else fi; ZERO } :: else -> v0=0 fi
#endif
   :: (MUT!=3 || me<N-1) -> skip;
wr:   skip; d_step{ ZERO; s_own=own; s_dirty=dirty; s_wt=wt; s_ep=ep };
      if :: s_own!=0 -> wait_owner(); goto wr :: else fi;
      d_step{ if :: (own==0 && dirty==s_dirty && wt==s_wt && ep==s_ep) -> own=me+1; ep=(ep+1)%EPM; ok=1 :: else -> ok=0 fi };
      if :: !ok -> goto wr :: else fi;
dn:   skip; d_step{ ZERO; dr=drain; busy=N };
      do :: i<N -> if :: R[i]!=0 -> busy=i; break :: else -> i++ fi :: else -> break od; i=0;
      if :: busy<N -> d_step{ if :: drain==dr -> qd[me]=1 :: else fi };
            if :: qd[me]==0 -> goto dn
               :: (TMO && qd[me]) -> qd[me]=0; probe(busy); goto dn
               :: qd[me] -> qd[me]=0; s_dirty=dirty;          /* deadline: give up */
#if MUT==1
                  rel(0,1);
#elif MUT==4
                  rel(s_dirty,0);
#else
                  rel(s_dirty,1);
#endif
                  goto out
            fi
         :: else fi;
      d_step{ s_dirty=dirty; s_ep=ep };
      if :: s_dirty && 1 -> /* refused unless recover */
            if :: skip;
#if MUT==5
                  rel(0,1);
#else
                  rel(1,1);
#endif
                  goto out
               :: skip fi
         :: else fi;
      actv=s_ep;
      d_step{ inw[me]=1; chkr() };
      d_step{ if :: ver%2==0 -> ver=(ver+1)%VM :: else fi };
      torn=1;
      torn=0;
      d_step{ ver=(ver+1)%VM };
      inw[me]=0; rel(0,1);
out:  skip
   fi
 :: else -> break od;
progress_done: fin++ }
 unless { kill[me] -> d_step{ dead[me]=1; ZERO; rnd=0; inw[me]=0; inr[me]=0; qo[me]=0; qd[me]=0 } } }
active proctype Killer(){ byte k=0; do :: ncrash<MAXC -> ncrash++; if :: kill[0]=1 :: kill[1]=1
#if N>2
 :: kill[2]=1
#endif
 fi :: break od }
init { atomic{ byte p=0; do :: p<N -> run P(p); p++ :: else -> break od } }
